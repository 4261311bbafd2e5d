import type { AttestationErrorCode } from "@vivarium/attestation";
import type { Entries } from "../entry.ts";

export const attestation: Entries<AttestationErrorCode> = {
  malformed: {
    exit: 2,
    en: {
      meaning: "Evidence, a token, a policy or a delegation does not have its form.",
      action: "Ask the sender for the file again, made by the same version.",
    },
    zh: {
      meaning: "证据、令牌、策略或委托书的格式不正确。",
      action: "请让发送方用相同版本重新生成并再次发送。",
    },
  },
  "not-genuine": {
    exit: 3,
    en: {
      meaning: "Evidence or a signature does not verify: it is not what it claims to be.",
      action: "Do not trust this peer; compare fingerprints with its owner by voice.",
    },
    zh: {
      meaning: "证据或签名验证失败，内容与其声称的不符。",
      action: "请勿信任该对方；请通过语音与其所有者核对指纹。",
    },
  },
  "refused-by-policy": {
    exit: 3,
    en: {
      meaning: "The evidence is genuine and the policy refuses it.",
      action: "See the failed rules with `vivarium policy explain FILE --evidence FILE`.",
    },
    zh: {
      meaning: "证据真实，但被策略拒绝。",
      action: "请用 `vivarium policy explain FILE --evidence FILE` 查看未通过的规则。",
    },
  },
  expired: {
    exit: 3,
    en: {
      meaning: "Evidence, a result, a delegation or a token is past its time.",
      action: "Check the clocks of both machines, and attest again.",
    },
    zh: {
      meaning: "证据、结果、委托书或令牌已过期。",
      action: "请检查双方机器的时钟，然后重新认证。",
    },
  },
  "invalid-policy": {
    exit: 2,
    en: {
      meaning: "A policy document has missing, unknown or contradictory fields.",
      action: "Correct the named fields; `vivarium policy check FILE` lists them all.",
    },
    zh: {
      meaning: "策略文件缺少字段、含有未知字段或字段互相矛盾。",
      action: "请改正所列字段；`vivarium policy check FILE` 会列出全部问题。",
    },
  },
  "unknown-type": {
    exit: 2,
    en: {
      meaning: "No verifier is registered for this type of evidence.",
      action: "Use a type that this version verifies, or update.",
    },
    zh: {
      meaning: "没有可验证此类证据的验证器。",
      action: "请改用本版本支持的证据类型，或升级版本。",
    },
  },
  unreachable: {
    exit: 1,
    en: {
      meaning: "A service of collateral does not answer, and nothing of it was fetched before.",
      action:
        "Check the network, name a mirror (--pcs, --kds), or bring a bundle from another machine.",
    },
    zh: {
      meaning: "附属材料服务没有应答，且此前未获取过所需内容。",
      action: "请检查网络，用 --pcs 或 --kds 指定镜像，或从另一台机器带来材料包。",
    },
  },
  unavailable: {
    exit: 1,
    en: {
      meaning: "The attester's device or key file is absent or cannot be used.",
      action: "Run `vivarium doctor` to see which devices were looked for.",
    },
    zh: {
      meaning: "认证设备或密钥文件不存在或无法使用。",
      action: "请运行 `vivarium doctor` 查看所查找的设备。",
    },
  },
  "not-a-result": {
    exit: 1,
    en: {
      meaning: "Something that no verifier produced was offered as an attestation result.",
      action: "This is a fault of the calling program; report it.",
    },
    zh: {
      meaning: "有并非由验证器产生的对象被当作认证结果使用。",
      action: "这是调用程序的缺陷，请报告。",
    },
  },
};
