import type { TensorsErrorCode } from "@vivarium/tensors";
import type { Entries } from "../entry.ts";

export const tensors: Entries<TensorsErrorCode> = {
  malformed: {
    exit: 2,
    en: {
      meaning: "A file of tensors or a model is broken or contradicts itself.",
      action: "Get the file again from whoever made it, and compare its digest.",
    },
    zh: {
      meaning: "张量或模型文件已损坏或自相矛盾。",
      action: "请向制作者重新获取该文件，并核对摘要。",
    },
  },
  "limit-exceeded": {
    exit: 2,
    en: {
      meaning: "A file of tensors or a model is over a limit.",
      action: "See docs/limits.md; split the file or make it smaller.",
    },
    zh: {
      meaning: "张量或模型文件超出限制。",
      action: "请参阅 docs/limits.md；拆分或缩小该文件。",
    },
  },
  unsupported: {
    exit: 2,
    en: {
      meaning: "A format, model or data type that this version does not know.",
      action: "Convert it to one of the formats in the README of packages/tensors.",
    },
    zh: {
      meaning: "当前版本不支持该格式、模型或数据类型。",
      action: "请转换为 packages/tensors 的 README 所列的格式之一。",
    },
  },
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "An input does not fit the model.",
      action: "Give inputs of the names, types and shapes that the model's metadata list.",
    },
    zh: {
      meaning: "输入与模型不符。",
      action: "请按模型元数据所列的名称、类型和形状提供输入。",
    },
  },
};
