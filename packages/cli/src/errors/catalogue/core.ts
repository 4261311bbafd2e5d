import type { CoreErrorCode } from "@vivarium/core";
import type { Entries } from "../entry.ts";

export const core: Entries<CoreErrorCode> = {
  malformed: {
    exit: 1,
    en: {
      meaning: "Bytes from outside do not have the form they should.",
      action: "Check that the file or peer is of the same version and was not damaged on the way.",
    },
    zh: {
      meaning: "外部数据的格式不正确。",
      action: "请检查文件或对方的版本是否一致，以及传输中是否损坏。",
    },
  },
  "limit-exceeded": {
    exit: 1,
    en: {
      meaning: "A length, count or depth is over its limit.",
      action: "Use smaller input, or raise the named limit where the README lists it.",
    },
    zh: {
      meaning: "长度、数量或嵌套深度超过上限。",
      action: "请减小输入，或按 README 的说明调高对应的上限。",
    },
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
  aborted: {
    exit: 1,
    en: { meaning: "The operation was cancelled.", action: "Run the command again." },
    zh: { meaning: "操作已被取消。", action: "请重新运行命令。" },
  },
  "remote-failure": {
    exit: 1,
    en: {
      meaning: "Another thread or process failed.",
      action: "Look at the log of that worker, and run again with --verbose.",
    },
    zh: {
      meaning: "另一个线程或进程发生故障。",
      action: "请查看该工作进程的日志，并加上 --verbose 重新运行。",
    },
  },
  unsupported: {
    exit: 1,
    en: {
      meaning: "This runtime lacks a cryptographic function.",
      action: "Run `vivarium doctor`, and use a Node version that it lists as supported.",
    },
    zh: {
      meaning: "当前运行环境缺少所需的密码学功能。",
      action: "请运行 `vivarium doctor`，并改用其中列为受支持的 Node 版本。",
    },
  },
};
