import type { BrokerErrorCode } from "@vivarium/broker";
import type { Entries } from "../entry.ts";

export const broker: Entries<BrokerErrorCode> = {
  malformed: {
    exit: 2,
    en: {
      meaning: "A checkpoint, proof, key or entry of an audit log does not have its form.",
      action: "Check that it is the right file and whole; ask for it again.",
    },
    zh: {
      meaning: "审计日志的检查点、证明、密钥或条目格式不正确。",
      action: "请确认文件正确且完整；或重新索取。",
    },
  },
  "limit-exceeded": {
    exit: 2,
    en: {
      meaning: "A length or count is over its limit.",
      action: "Check that it is the right file.",
    },
    zh: { meaning: "长度或数量超过上限。", action: "请确认文件是否正确。" },
  },
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "A value is outside its documented range.",
      action: "Correct the value that the message names.",
    },
    zh: { meaning: "某个值超出规定范围。", action: "请改正消息中指出的值。" },
  },
  "not-genuine": {
    exit: 3,
    en: {
      meaning: "A checkpoint is not signed by the log, or not by the witnesses that were demanded.",
      action: "Do not rely on it; compare the log's key with its operator by another way.",
    },
    zh: {
      meaning: "检查点未由该日志签名，或缺少所要求的见证者签名。",
      action: "请勿采信；请通过其他途径与运营方核对日志公钥。",
    },
  },
  tampered: {
    exit: 3,
    en: {
      meaning: "What the audit log holds is not what its checkpoint says.",
      action: "Keep the files as they are and tell the parties; compare with a copy.",
    },
    zh: {
      meaning: "审计日志的内容与其检查点不符。",
      action: "请保留现场文件并通知各方；与副本比对。",
    },
  },
  forked: {
    exit: 3,
    en: {
      meaning: "The audit log was set back, or has two histories.",
      action: "Keep both checkpoints: together they prove it. Tell the parties.",
    },
    zh: {
      meaning: "审计日志被回退，或存在两份历史。",
      action: "请保留两个检查点：二者共同构成证据。请通知各方。",
    },
  },
  refused: {
    exit: 3,
    en: {
      meaning: "The policy or the end of a resource refuses it.",
      action:
        "See the audit log, which has rule, expected and actual; correct the policy or the instance.",
    },
    zh: {
      meaning: "资源的策略或期限拒绝此操作。",
      action: "请查看审计日志中的规则、期望值与实际值；并修正策略或实例。",
    },
  },
  "not-found": {
    exit: 2,
    en: {
      meaning: "There is no such resource in the broker.",
      action: "Check its name with vivarium broker list.",
    },
    zh: { meaning: "密钥代理中没有该资源。", action: "请用 vivarium broker list 核对名称。" },
  },
  exists: {
    exit: 2,
    en: {
      meaning: "There is a resource of that name in the broker already.",
      action: "Rotate it, or take another name.",
    },
    zh: { meaning: "密钥代理中已有同名资源。", action: "请轮换该资源，或使用其他名称。" },
  },
  "rolled-back": {
    exit: 3,
    en: {
      meaning:
        "The broker's store, its log or what the outside knows do not fit together: something was set back.",
      action: "Do not serve from it; restore store and log from the same, newest backup.",
    },
    zh: {
      meaning: "密钥代理的存储、日志与外部所知不一致：有数据被回退。",
      action: "请勿据此提供服务；请从同一份最新备份恢复存储与日志。",
    },
  },
  "in-use": {
    exit: 1,
    en: {
      meaning: "Another process writes this audit log.",
      action: "Stop it first, or wait until it has ended.",
    },
    zh: { meaning: "另一进程正在写入此审计日志。", action: "请先停止该进程，或等待其结束。" },
  },
  unavailable: {
    exit: 1,
    en: {
      meaning: "The audit log could not be read or written.",
      action: "Check the path, its permissions and the space on the disk.",
    },
    zh: { meaning: "无法读取或写入审计日志。", action: "请检查路径、权限和磁盘空间。" },
  },
  closed: {
    exit: 1,
    en: {
      meaning: "The audit log was used after it was closed.",
      action: "Report this as a fault of this program.",
    },
    zh: { meaning: "审计日志在关闭后被使用。", action: "请作为本程序的缺陷报告。" },
  },
};
