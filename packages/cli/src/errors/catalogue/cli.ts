import type { Entries } from "../entry.ts";
import type { CliErrorCode } from "../error.ts";

export const cli: Entries<CliErrorCode> = {
  usage: {
    exit: 2,
    en: {
      meaning: "The command line has an unknown command or option, or lacks one.",
      action: "Run the command with --help.",
    },
    zh: {
      meaning: "命令行含有未知的命令或选项，或缺少必需的选项。",
      action: "请用 --help 查看用法。",
    },
  },
  "invalid-config": {
    exit: 2,
    en: {
      meaning: "A configuration file has an error at the named line and field.",
      action: "Correct the named field.",
    },
    zh: {
      meaning: "配置文件在所示行和字段处有错误。",
      action: "请改正该字段。",
    },
  },
  "invalid-file": {
    exit: 2,
    en: {
      meaning: "A file that another party made does not have its form.",
      action: "Ask the party to export the file again.",
    },
    zh: {
      meaning: "由其他方生成的文件格式不正确。",
      action: "请让对方重新导出该文件。",
    },
  },
  "not-found": {
    exit: 2,
    en: { meaning: "A file or directory does not exist.", action: "Check the path." },
    zh: { meaning: "文件或目录不存在。", action: "请检查路径。" },
  },
  inaccessible: {
    exit: 2,
    en: {
      meaning: "A file cannot be read or written.",
      action: "Check its permissions and the free space.",
    },
    zh: { meaning: "文件无法读取或写入。", action: "请检查权限和剩余空间。" },
  },
  "too-large": {
    exit: 2,
    en: {
      meaning: "A file is larger than files of its kind may be.",
      action: "Check that it is the right file.",
    },
    zh: { meaning: "文件大小超过该类文件的上限。", action: "请确认文件是否正确。" },
  },
  exists: {
    exit: 2,
    en: {
      meaning: "A file would be overwritten.",
      action: "Choose another name, or remove the existing file yourself.",
    },
    zh: { meaning: "该操作会覆盖已有文件。", action: "请换一个名称，或自行删除已有文件。" },
  },
  "unsafe-permissions": {
    exit: 2,
    en: {
      meaning: "Others than the owner could read or change what must stay private.",
      action: "Use chmod 700 for the directory or chmod 600 for the file, as the named owner.",
    },
    zh: {
      meaning: "所有者以外的用户可以读取或修改必须保密的内容。",
      action: "请以其所有者身份对目录执行 chmod 700，对文件执行 chmod 600。",
    },
  },
  "not-a-state": {
    exit: 2,
    en: {
      meaning: "The state directory was not made by this program.",
      action: "Name an empty or a new directory with --state.",
    },
    zh: {
      meaning: "该状态目录不是由本程序创建的。",
      action: "请用 --state 指定一个空目录或新目录。",
    },
  },
  "no-identity": {
    exit: 2,
    en: {
      meaning: "There is no such identity, or there are several and none was named.",
      action: "Make one with `vivarium identity create NAME`, or name the one to use.",
    },
    zh: {
      meaning: "没有该身份，或存在多个身份而未指明使用哪一个。",
      action: "请用 `vivarium identity create NAME` 创建，或指明要使用的身份。",
    },
  },
  "bad-installation": {
    exit: 1,
    en: {
      meaning: "The installed bundle of a workload is absent or was changed.",
      action: "Install or build again: `npm ci && npm run build`.",
    },
    zh: {
      meaning: "工作负载的安装包缺失或被改动。",
      action: "请重新安装或构建：`npm ci && npm run build`。",
    },
  },
  "not-confirmed": {
    exit: 2,
    en: {
      meaning: "A question was not answered with yes.",
      action: "Answer yes, or give --yes where nobody can answer.",
    },
    zh: {
      meaning: "未得到确认。",
      action: "请回答 yes；在无人应答的环境中请使用 --yes。",
    },
  },
  interrupted: {
    exit: 1,
    en: { meaning: "The command was interrupted.", action: "Run it again to start over." },
    zh: { meaning: "命令被中断。", action: "请重新运行命令。" },
  },
  internal: {
    exit: 1,
    en: {
      meaning: "This program has a fault.",
      action: "Run again with --verbose and report what it prints, after removing private data.",
    },
    zh: {
      meaning: "本程序存在缺陷。",
      action: "请加上 --verbose 重新运行，去除隐私数据后报告其输出。",
    },
  },
};
