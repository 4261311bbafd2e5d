import type { Curve25519ErrorCode } from "@vivarium/curve25519";
import type { Entries } from "../entry.ts";

export const curve25519: Entries<Curve25519ErrorCode> = {
  "low-order": {
    exit: 1,
    en: {
      meaning: "A point has small order: the peer is broken or hostile.",
      action: "Do not go on with this peer; tell its operator.",
    },
    zh: {
      meaning: "点的阶过小：对方有故障或怀有恶意。",
      action: "请勿与该对方继续；请通知其操作人员。",
    },
  },
  "non-canonical": {
    exit: 1,
    en: {
      meaning: "A point is not in canonical form: the peer is broken or hostile.",
      action: "Do not go on with this peer; tell its operator.",
    },
    zh: {
      meaning: "点不是规范形式：对方有故障或怀有恶意。",
      action: "请勿与该对方继续；请通知其操作人员。",
    },
  },
  "invalid-argument": {
    exit: 1,
    en: {
      meaning: "A function was given bytes of the wrong shape.",
      action: "This is a fault of the calling program; report it.",
    },
    zh: { meaning: "传入的数据形状不正确。", action: "这是调用程序的缺陷，请报告。" },
  },
  "limit-exceeded": {
    exit: 1,
    en: {
      meaning: "An item, batch or tag is over its limit.",
      action: "Use shorter items or smaller batches.",
    },
    zh: { meaning: "条目、批次或标签超过上限。", action: "请使用更短的条目或更小的批次。" },
  },
  unsupported: {
    exit: 1,
    en: {
      meaning: "No engine of that name works on this runtime.",
      action: "Run `vivarium doctor` to see the engines, and let the fastest be chosen.",
    },
    zh: {
      meaning: "当前运行环境没有可用的该名称引擎。",
      action: "请运行 `vivarium doctor` 查看各引擎，并使用自动选择。",
    },
  },
};
