import type { ChannelErrorCode } from "@vivarium/channel";
import type { Entries } from "../entry.ts";

export const channel: Entries<ChannelErrorCode> = {
  refused: {
    exit: 3,
    en: {
      meaning: "This side refused the peer.",
      action: "See the rules that failed; change the policy only if both owners agree.",
    },
    zh: {
      meaning: "本方拒绝了对方。",
      action: "请查看未通过的规则；仅在双方所有者同意时修改策略。",
    },
  },
  "peer-refused": {
    exit: 3,
    en: {
      meaning: "The peer refused this side and, by design, does not say why.",
      action:
        "Ask the peer's operator for the rules in its log; exchange party files again if a release changed.",
    },
    zh: {
      meaning: "对方拒绝了本方；按设计不会说明原因。",
      action: "请向对方的操作人员索取其日志中的规则；若版本有变，请重新交换 party 文件。",
    },
  },
  protocol: {
    exit: 1,
    en: {
      meaning: "The peer's bytes do not follow the protocol.",
      action:
        "Check that both sides run the same version and that nothing in between changes the traffic.",
    },
    zh: {
      meaning: "对方发送的数据不符合协议。",
      action: "请确认双方版本一致，且中间设备没有改动流量。",
    },
  },
  "limit-exceeded": {
    exit: 1,
    en: {
      meaning: "A length, count or rate is over its limit.",
      action: "Wait and try again; if it recurs, the named limit is too small for this use.",
    },
    zh: {
      meaning: "长度、数量或速率超过上限。",
      action: "请稍后重试；若反复出现，说明所示上限对该用途过小。",
    },
  },
  timeout: {
    exit: 1,
    en: {
      meaning: "A deadline passed, or the peer fell silent.",
      action: "Check the network and that the peer still runs; then run both sides again.",
    },
    zh: {
      meaning: "超过期限，或对方没有响应。",
      action: "请检查网络以及对方是否仍在运行，然后双方重新运行。",
    },
  },
  closed: {
    exit: 1,
    en: {
      meaning: "The channel was closed by one of its ends.",
      action: "Look at the peer's output for the reason; then run both sides again.",
    },
    zh: { meaning: "通道已被其中一方关闭。", action: "请查看对方输出的原因，然后双方重新运行。" },
  },
  "connection-failed": {
    exit: 1,
    en: {
      meaning: "There is no connection, or it broke.",
      action: "Check host, port and firewall, and that the peer has been started.",
    },
    zh: {
      meaning: "无法建立连接，或连接中断。",
      action: "请检查主机、端口和防火墙，并确认对方已启动。",
    },
  },
  expired: {
    exit: 3,
    en: {
      meaning: "The attestation result of the peer has expired.",
      action: "Check the clocks of both machines; then run both sides again.",
    },
    zh: { meaning: "对方的认证结果已过期。", action: "请检查双方机器的时钟，然后双方重新运行。" },
  },
  revoked: {
    exit: 3,
    en: {
      meaning: "The peer's identity, measurement or TCB level has been revoked.",
      action: "Do not go on; ask the issuer of the revocation list.",
    },
    zh: {
      meaning: "对方的身份、度量值或 TCB 级别已被吊销。",
      action: "请勿继续；请联系吊销列表的签发者。",
    },
  },
  aborted: {
    exit: 1,
    en: { meaning: "The operation was cancelled.", action: "Run the command again." },
    zh: { meaning: "操作已被取消。", action: "请重新运行命令。" },
  },
  remote: {
    exit: 1,
    en: {
      meaning: "The peer failed while it answered.",
      action: "Ask the peer's operator for its log.",
    },
    zh: { meaning: "对方在应答时发生故障。", action: "请向对方的操作人员索取日志。" },
  },
  "not-attested": {
    exit: 3,
    en: {
      meaning: "An unattested peer was met where an attested one is needed.",
      action: "Both sides must use the mode `mutual`.",
    },
    zh: { meaning: "需要经过认证的对方，但对方未经认证。", action: "双方必须使用 `mutual` 模式。" },
  },
};
