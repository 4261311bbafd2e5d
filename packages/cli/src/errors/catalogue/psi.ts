import type { PsiErrorCode } from "@vivarium/psi";
import type { Entries } from "../entry.ts";

export const psi: Entries<PsiErrorCode> = {
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "A setting of the run is outside its documented range.",
      action: "Correct the named field of the configuration.",
    },
    zh: { meaning: "运行设置超出规定范围。", action: "请改正配置中所示的字段。" },
  },
  "config-mismatch": {
    exit: 2,
    en: {
      meaning: "The configurations of the two parties differ; nothing was exchanged.",
      action: "Agree on the named fields with the peer, and run again.",
    },
    zh: {
      meaning: "双方的配置不一致；尚未交换任何数据。",
      action: "请与对方就所示字段达成一致，然后重新运行。",
    },
  },
  "not-allowed": {
    exit: 3,
    en: {
      meaning:
        "Protocol attested would trust the peer's TEE with the items; this side does not allow it.",
      action:
        'Use protocol ecdh, or add "psi.attested" to allow in every record of the peer\'s role.',
    },
    zh: {
      meaning: "attested 协议会把数据托付给对方的 TEE；本方策略不允许。",
      action: '请使用 ecdh 协议，或在策略中该角色的每条记录的 allow 里加入 "psi.attested"。',
    },
  },
  checkpoint: {
    exit: 3,
    en: {
      meaning: "The checkpoint cannot be used: altered, under another key, or of another run.",
      action:
        "Put back the configuration, input and key of that run, or remove the checkpoint to begin anew.",
    },
    zh: {
      meaning: "检查点无法使用：已被改动、密钥不同，或属于另一次运行。",
      action: "请恢复该次运行的配置、输入和密钥，或删除检查点后重新开始。",
    },
  },
  "too-few-matches": {
    exit: 3,
    en: {
      meaning:
        "Fewer items are common than sum.minMatches: a sum over so few would say too much of each.",
      action: "There is no result. Agree on another minimum with the peer, if both want to.",
    },
    zh: {
      meaning: "共同元素少于 sum.minMatches；对这么少的元素求和会泄露过多信息。",
      action: "没有结果。如双方愿意，可约定其他下限。",
    },
  },
  size: {
    exit: 2,
    en: {
      meaning: "A set is larger or smaller than was agreed.",
      action: "Change the set, or agree on other sizes.",
    },
    zh: { meaning: "集合大小超出约定范围。", action: "请调整集合，或与对方约定其他大小。" },
  },
  "invalid-point": {
    exit: 3,
    en: {
      meaning: "The peer sent an invalid point: it does not run this protocol.",
      action: "Do not go on with this peer; tell its operator.",
    },
    zh: {
      meaning: "对方发送了无效的点：对方没有执行本协议。",
      action: "请勿与该对方继续；请通知其操作人员。",
    },
  },
  "duplicate-point": {
    exit: 3,
    en: {
      meaning: "The peer sent a point twice: it does not run this protocol.",
      action: "Do not go on with this peer; tell its operator.",
    },
    zh: {
      meaning: "对方重复发送了同一个点：对方没有执行本协议。",
      action: "请勿与该对方继续；请通知其操作人员。",
    },
  },
  collision: {
    exit: 1,
    en: {
      meaning: "Two tags of one list are equal; there is no result.",
      action: "Run again; by chance this happens less than once in 2^40 runs.",
    },
    zh: {
      meaning: "同一列表中有两个标签相同；没有结果。",
      action: "请重新运行；随机发生的概率低于 2^40 分之一。",
    },
  },
  protocol: {
    exit: 1,
    en: {
      meaning: "A frame of the peer does not follow the protocol; there is no result.",
      action: "Check that both sides run the same version.",
    },
    zh: { meaning: "对方的数据帧不符合协议；没有结果。", action: "请确认双方版本一致。" },
  },
  "transcript-mismatch": {
    exit: 3,
    en: {
      meaning: "The two sides saw different data; there is no result.",
      action: "Check what lies between the two sides; then run again.",
    },
    zh: {
      meaning: "双方看到的数据不同；没有结果。",
      action: "请检查双方之间的网络设备，然后重新运行。",
    },
  },
  "peer-aborted": {
    exit: 1,
    en: {
      meaning: "The peer gave up; there is no result.",
      action: "Ask the peer's operator for its message.",
    },
    zh: { meaning: "对方中止了运行；没有结果。", action: "请向对方的操作人员询问其错误信息。" },
  },
  "connection-lost": {
    exit: 1,
    en: {
      meaning: "The channel ended before the run did; there is no result.",
      action: "Check the network and the peer; then run both sides again.",
    },
    zh: {
      meaning: "通道在运行结束前中断；没有结果。",
      action: "请检查网络和对方，然后双方重新运行。",
    },
  },
  timeout: {
    exit: 1,
    en: {
      meaning: "The peer was silent for too long; there is no result.",
      action: "Check that the peer still runs; then run both sides again.",
    },
    zh: {
      meaning: "对方过久没有响应；没有结果。",
      action: "请确认对方仍在运行，然后双方重新运行。",
    },
  },
  aborted: {
    exit: 1,
    en: { meaning: "The run was cancelled; there is no result.", action: "Run both sides again." },
    zh: { meaning: "运行已被取消；没有结果。", action: "请双方重新运行。" },
  },
  failed: {
    exit: 1,
    en: {
      meaning: "Something failed on this side; there is no result.",
      action: "See the cause with --verbose, correct it, and run both sides again.",
    },
    zh: {
      meaning: "本方发生故障；没有结果。",
      action: "请用 --verbose 查看原因，改正后双方重新运行。",
    },
  },
};
