import type { WorkersErrorCode } from "@vivarium/workers";
import type { Entries } from "../entry.ts";

export const workers: Entries<WorkersErrorCode> = {
  "build-failed": {
    exit: 1,
    en: {
      meaning: "A bundle could not be built.",
      action: "Correct the named import; every file must be inside the bundle.",
    },
    zh: { meaning: "无法构建代码包。", action: "请改正所示的导入；所有文件都必须包含在代码包内。" },
  },
  "invalid-manifest": {
    exit: 1,
    en: {
      meaning: "The manifest of a bundle does not have its form, or a file in it is not one.",
      action: "Build or install again: `npm ci && npm run build`.",
    },
    zh: {
      meaning: "代码包清单或其中的文件不正确。",
      action: "请重新构建或安装：`npm ci && npm run build`。",
    },
  },
  "digest-mismatch": {
    exit: 3,
    en: {
      meaning: "A file is not the one that the manifest names: it was changed.",
      action: "Find out who changed it; then build or install again.",
    },
    zh: { meaning: "文件与清单不符：已被改动。", action: "请查明改动来源，然后重新构建或安装。" },
  },
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "An option has a value outside its documented range.",
      action: "Correct the named option.",
    },
    zh: { meaning: "选项的值超出规定范围。", action: "请改正所示的选项。" },
  },
  "isolation-unavailable": {
    exit: 1,
    en: {
      meaning: "An isolation that was required is not available here.",
      action: "Run `vivarium doctor` to see what is missing; run as root or allow user namespaces.",
    },
    zh: {
      meaning: "所要求的隔离在本机不可用。",
      action: "请运行 `vivarium doctor` 查看缺少的条件；以 root 运行或允许用户命名空间。",
    },
  },
  "start-failed": {
    exit: 1,
    en: {
      meaning: "The worker process did not start, or did not say hello in time.",
      action: "Look at the log above; check memory and free space.",
    },
    zh: {
      meaning: "工作进程未能启动，或未及时响应。",
      action: "请查看上面的日志；检查内存和剩余空间。",
    },
  },
  protocol: {
    exit: 1,
    en: {
      meaning: "The worker process broke the protocol with its launcher and was killed.",
      action: "Build or install again; if it recurs, report it.",
    },
    zh: {
      meaning: "工作进程违反与启动器之间的协议，已被终止。",
      action: "请重新构建或安装；若再次出现，请报告。",
    },
  },
  killed: {
    exit: 1,
    en: {
      meaning: "The worker process was killed from outside.",
      action: "Check the memory of the machine and the system log; then run again.",
    },
    zh: { meaning: "工作进程被外部终止。", action: "请检查本机内存和系统日志，然后重新运行。" },
  },
  exited: {
    exit: 1,
    en: {
      meaning: "The worker process ended without a result.",
      action: "Look at the log above; then run again.",
    },
    zh: { meaning: "工作进程未返回结果就已结束。", action: "请查看上面的日志，然后重新运行。" },
  },
  aborted: {
    exit: 1,
    en: { meaning: "The work was cancelled.", action: "Run the command again." },
    zh: { meaning: "工作已被取消。", action: "请重新运行命令。" },
  },
  timeout: {
    exit: 1,
    en: {
      meaning: "A task ran longer than its time.",
      action: "Check the load of the machine, or raise the time.",
    },
    zh: { meaning: "任务超过时限。", action: "请检查本机负载，或调高时限。" },
  },
  "quota-exceeded": {
    exit: 1,
    en: { meaning: "A queue is full.", action: "Try again later, or send less at once." },
    zh: { meaning: "队列已满。", action: "请稍后重试，或减少同时提交的数量。" },
  },
  "unknown-task": {
    exit: 1,
    en: {
      meaning: "No task of this name is in the bundle.",
      action: "Build or install again, so that both halves are of one version.",
    },
    zh: { meaning: "代码包中没有该名称的任务。", action: "请重新构建或安装，使各部分版本一致。" },
  },
  "task-crashed": {
    exit: 1,
    en: {
      meaning: "A worker thread died.",
      action: "Check the memory of the machine; then run again.",
    },
    zh: { meaning: "工作线程崩溃。", action: "请检查本机内存，然后重新运行。" },
  },
  "release-refused": {
    exit: 3,
    en: {
      meaning: "The attestation result does not allow handing this over.",
      action: "Attest again; if it recurs, check clocks and revocations.",
    },
    zh: {
      meaning: "认证结果不允许交付该内容。",
      action: "请重新认证；若再次出现，请检查时钟和吊销情况。",
    },
  },
  "secret-unavailable": {
    exit: 1,
    en: {
      meaning: "A secret could not be had from its source.",
      action: "See the message; a refusal's reason stands in the broker's audit log.",
    },
    zh: {
      meaning: "无法从来源取得密钥。",
      action: "请查看消息；若被拒绝，原因见密钥代理的审计日志。",
    },
  },
};
