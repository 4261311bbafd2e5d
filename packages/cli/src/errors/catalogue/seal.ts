import type { SealErrorCode } from "@vivarium/seal";
import type { Entries } from "../entry.ts";

export const seal: Entries<SealErrorCode> = {
  malformed: {
    exit: 2,
    en: {
      meaning: "A message, receipt or file does not have its form.",
      action: "Check that it is the right file and whole; ask for it again.",
    },
    zh: { meaning: "消息、收据或文件的格式不正确。", action: "请确认文件正确且完整；或重新索取。" },
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
    exit: 1,
    en: {
      meaning: "A function was given a value outside its documented range.",
      action: "Correct the value; if it came from this program, report the fault.",
    },
    zh: {
      meaning: "传入的值超出规定范围。",
      action: "请改正该值；若该值由本程序产生，请报告缺陷。",
    },
  },
  "not-authentic": {
    exit: 3,
    en: {
      meaning: "A message does not decrypt, or is not from the sender it should be from.",
      action: "Do not use it; ask the sender for another one.",
    },
    zh: {
      meaning: "消息无法解密，或并非来自应有的发送方。",
      action: "请勿使用；请让发送方重新发送。",
    },
  },
  replayed: {
    exit: 3,
    en: {
      meaning: "A message was opened before, or its age cannot be judged.",
      action: "Do not use it; ask the sender for a new one.",
    },
    zh: {
      meaning: "消息此前已被打开过，或无法判断其新旧。",
      action: "请勿使用；请让发送方重新生成。",
    },
  },
  "not-genuine": {
    exit: 3,
    en: {
      meaning: "A receipt's signature or delegation does not verify, or its party is not expected.",
      action:
        "Do not rely on it; ask its sender for the original, and check the fingerprint you named.",
    },
    zh: {
      meaning: "收据的签名或委托书验证失败，或签署方不在预期之内。",
      action: "请勿采信；请索取原始文件，并核对您指定的指纹。",
    },
  },
  "wrong-key": {
    exit: 1,
    en: {
      meaning: "The key does not open this file, or its wrapped key was altered.",
      action: "Use the key or state directory that the file was made with.",
    },
    zh: {
      meaning: "该密钥无法打开此文件，或封装的密钥被改动。",
      action: "请使用生成该文件时的密钥或状态目录。",
    },
  },
  "header-altered": {
    exit: 3,
    en: {
      meaning: "The header of a sealed file was altered.",
      action: "Do not use it; restore it from a backup.",
    },
    zh: { meaning: "密封文件的文件头被改动。", action: "请勿使用；请从备份恢复。" },
  },
  "header-swapped": {
    exit: 3,
    en: {
      meaning: "Header and content of a sealed file do not belong together.",
      action: "Do not use it; restore it from a backup.",
    },
    zh: { meaning: "密封文件的文件头与内容不匹配。", action: "请勿使用；请从备份恢复。" },
  },
  incomplete: {
    exit: 1,
    en: {
      meaning: "The writing of a sealed file was never finished.",
      action: "Remove the file and repeat what made it.",
    },
    zh: { meaning: "密封文件未写完。", action: "请删除该文件并重新生成。" },
  },
  truncated: {
    exit: 3,
    en: {
      meaning: "A sealed file is shorter than its header says.",
      action: "Do not use it; restore it from a backup.",
    },
    zh: { meaning: "密封文件比文件头所述更短。", action: "请勿使用；请从备份恢复。" },
  },
  extended: {
    exit: 3,
    en: {
      meaning: "A sealed file is longer than its header says.",
      action: "Do not use it; restore it from a backup.",
    },
    zh: { meaning: "密封文件比文件头所述更长。", action: "请勿使用；请从备份恢复。" },
  },
  "chunk-altered": {
    exit: 3,
    en: {
      meaning: "A part of a sealed file was altered.",
      action: "Do not use it; restore it from a backup.",
    },
    zh: { meaning: "密封文件的部分内容被改动。", action: "请勿使用；请从备份恢复。" },
  },
  reordered: {
    exit: 3,
    en: {
      meaning: "A part of a sealed file stands where another belongs.",
      action: "Do not use it; restore it from a backup.",
    },
    zh: { meaning: "密封文件的内容顺序被改动。", action: "请勿使用；请从备份恢复。" },
  },
  renamed: {
    exit: 3,
    en: {
      meaning: "A sealed file is authentic, but under another name or of another type.",
      action: "Give the file its original name, or use the right file.",
    },
    zh: { meaning: "密封文件真实，但名称或类型不同。", action: "请恢复其原名，或使用正确的文件。" },
  },
  "rolled-back": {
    exit: 3,
    en: {
      meaning: "A sealed file or counter is older than the newest one known.",
      action: "Do not use it; find out who restored an old version.",
    },
    zh: {
      meaning: "密封文件或计数器比已知的最新版本更旧。",
      action: "请勿使用；请查明是谁恢复了旧版本。",
    },
  },
  closed: {
    exit: 1,
    en: {
      meaning: "A secret, file or recipient was used after it was closed.",
      action: "This is a fault of the calling program; report it.",
    },
    zh: { meaning: "密钥、文件或接收方在关闭后仍被使用。", action: "这是调用程序的缺陷，请报告。" },
  },
  unavailable: {
    exit: 1,
    en: {
      meaning: "A file or directory could not be read or written.",
      action: "Check the path, its permissions and the free space.",
    },
    zh: { meaning: "文件或目录无法读取或写入。", action: "请检查路径、权限和剩余空间。" },
  },
};
