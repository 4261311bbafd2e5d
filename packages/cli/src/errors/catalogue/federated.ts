import type { FederatedErrorCode } from "@vivarium/federated";
import type { Entries } from "../entry.ts";

export const federated: Entries<FederatedErrorCode> = {
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "A setting of the run is outside its documented range.",
      action: "Correct the named field of the configuration.",
    },
    zh: { meaning: "运行设置超出规定范围。", action: "请改正配置中所示的字段。" },
  },
  "bad-update": {
    exit: 1,
    en: {
      meaning: "A participant's update is malformed, no number, or over the bound.",
      action: "Ask the named participant; it is left out for the rest of the run.",
    },
    zh: {
      meaning: "某参与方的更新格式错误、含非数值或超出上限。",
      action: "请联系所示参与方；该方已被排除在本次运行之外。",
    },
  },
  "too-few": {
    exit: 1,
    en: {
      meaning: "Fewer good updates came than the strategy or the plan needs.",
      action: "Get more participants to take part, or agree on another plan.",
    },
    zh: {
      meaning: "有效更新的数量少于策略或计划的要求。",
      action: "请增加参与方，或约定另一份计划。",
    },
  },
  "bad-data": {
    exit: 2,
    en: {
      meaning: "This participant's data cannot be read or does not fit the model.",
      action: "Correct the named line: JSON with a text or numbers, and a label.",
    },
    zh: {
      meaning: "本参与方的数据无法读取或与模型不符。",
      action: "请改正所示的行：JSON，含 text 或 numbers 以及 label。",
    },
  },
  "plan-mismatch": {
    exit: 2,
    en: {
      meaning: "The plans of the parties differ; nothing was trained.",
      action: "Agree on the named fields, give every party the same plan, and run again.",
    },
    zh: {
      meaning: "各方的计划不一致；尚未进行任何训练。",
      action: "请就所示字段达成一致，让各方使用同一份计划，然后重新运行。",
    },
  },
  refused: {
    exit: 3,
    en: {
      meaning:
        "The peer asked for what this run must not give: an old round, another set of updates, a cohort too small.",
      action: "Do not go on with this peer before you know why; its state may have been set back.",
    },
    zh: {
      meaning: "对方提出了本次运行不得满足的请求：旧的轮次、另一组更新，或参与方过少。",
      action: "在查明原因之前请勿继续；对方的状态可能已被回滚。",
    },
  },
  protocol: {
    exit: 1,
    en: {
      meaning: "The connection ended, or the peer sent what the protocol has not.",
      action: "Start this side again; with a state directory it goes on where it was.",
    },
    zh: {
      meaning: "连接中断，或对方发送了协议之外的内容。",
      action: "请重新启动本方；若有状态目录，将从中断处继续。",
    },
  },
  timeout: {
    exit: 1,
    en: {
      meaning: "Participants, updates or keys did not come in time.",
      action:
        "Start the missing parties, then this side again; with a state directory it goes on where it was.",
    },
    zh: {
      meaning: "参与方、更新或密钥未在时限内到达。",
      action: "请启动缺席的各方，再重新启动本方；若有状态目录，将从中断处继续。",
    },
  },
  "wrong-state": {
    exit: 2,
    en: {
      meaning: "The state directory belongs to another run, model or plan, or is not whole.",
      action: "Use the state of this run, or an empty directory on every side for a new run.",
    },
    zh: {
      meaning: "状态目录属于另一次运行、另一模型或计划，或不完整。",
      action: "请使用本次运行的状态；若要开始新的运行，各方都请使用空目录。",
    },
  },
  aborted: {
    exit: 1,
    en: { meaning: "The run was cancelled.", action: "Start it again when you want to go on." },
    zh: { meaning: "运行已被取消。", action: "需要继续时请重新启动。" },
  },
};
