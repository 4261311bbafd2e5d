import type { ServingErrorCode } from "@vivarium/serving";
import type { Entries } from "../entry.ts";

export const serving: Entries<ServingErrorCode> = {
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "The request or the configuration is wrong.",
      action: "Correct the named part; the model's metadata list its inputs.",
    },
    zh: { meaning: "请求或配置有误。", action: "请改正所示部分；模型元数据列出了其输入。" },
  },
  "not-found": {
    exit: 2,
    en: {
      meaning: "There is no such model, version or label.",
      action: "Ask the server for its models, or put the model into its repository.",
    },
    zh: {
      meaning: "没有该模型、版本或标签。",
      action: "请查询服务器提供的模型，或将模型放入其仓库。",
    },
  },
  overloaded: {
    exit: 1,
    en: {
      meaning: "Too many requests wait for this model.",
      action: "Try again in a second, with fewer requests at a time.",
    },
    zh: { meaning: "等待该模型的请求过多。", action: "请稍候一秒再试，并减少并发请求。" },
  },
  deadline: {
    exit: 1,
    en: {
      meaning: "There was no answer before the request's deadline.",
      action: "Allow more time, or ask less at once.",
    },
    zh: { meaning: "在请求的截止时间之前没有得到回答。", action: "请放宽时限，或减少单次请求量。" },
  },
  "bad-model": {
    exit: 2,
    en: {
      meaning: "A model's file cannot be read, does not open, or is another one than was agreed.",
      action: "Put the right file in its place, with its key; see the reason in the message.",
    },
    zh: {
      meaning: "模型文件无法读取、无法解封，或不是约定的文件。",
      action: "请放入正确的文件并提供其密钥；原因见消息。",
    },
  },
  failed: {
    exit: 1,
    en: {
      meaning: "The model or the server failed at this request.",
      action: "Try the request alone; if it fails again, tell the server's operator.",
    },
    zh: {
      meaning: "模型或服务器处理该请求时失败。",
      action: "请单独重试该请求；若仍失败，请告知服务器的操作人员。",
    },
  },
  "wrong-model": {
    exit: 3,
    en: {
      meaning: "The answer is of another model than you want.",
      action: "Do not use it; ask the model's owner which digest is current.",
    },
    zh: {
      meaning: "回答来自另一个模型，而非您指定的模型。",
      action: "请勿使用该回答；请向模型所有者确认当前摘要。",
    },
  },
  closed: {
    exit: 1,
    en: { meaning: "The server is stopping.", action: "Ask again, or ask another replica." },
    zh: { meaning: "服务器正在停止。", action: "请重试，或改用另一副本。" },
  },
  aborted: {
    exit: 1,
    en: { meaning: "The request was cancelled.", action: "Send it again if you still want it." },
    zh: { meaning: "请求已被取消。", action: "如仍需要，请重新发送。" },
  },
  protocol: {
    exit: 1,
    en: {
      meaning: "The peer sent what the protocol has not.",
      action: "Use the same version on both sides.",
    },
    zh: { meaning: "对方发送了协议之外的内容。", action: "请在双方使用相同的版本。" },
  },
};
