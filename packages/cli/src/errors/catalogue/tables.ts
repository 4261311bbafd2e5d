import type { TablesErrorCode } from "@vivarium/tables";
import type { Entries } from "../entry.ts";

export const tables: Entries<TablesErrorCode> = {
  "not-found": {
    exit: 2,
    en: {
      meaning: "The table is absent, is not a file, or may not be read.",
      action: "Check the path and its permissions.",
    },
    zh: { meaning: "表文件不存在、不是文件或无法读取。", action: "请检查路径和权限。" },
  },
  malformed: {
    exit: 2,
    en: {
      meaning: "The table does not have its format.",
      action: "Correct the named line, or set format, delimiter and header.",
    },
    zh: {
      meaning: "表文件的格式不正确。",
      action: "请改正所示的行，或设置 format、delimiter 和 header。",
    },
  },
  "missing-column": {
    exit: 2,
    en: {
      meaning: "A column is not in the table, or is there twice.",
      action: "Use the names of the table's columns in `input.keys`.",
    },
    zh: {
      meaning: "表中没有该列，或该列出现两次。",
      action: "请在 `input.keys` 中使用表中实际的列名。",
    },
  },
  "invalid-argument": {
    exit: 2,
    en: {
      meaning: "An option of a table is outside its documented range.",
      action: "Correct the named option.",
    },
    zh: { meaning: "表的选项超出规定范围。", action: "请改正所示的选项。" },
  },
  "limit-exceeded": {
    exit: 2,
    en: {
      meaning: "Rows, columns, bytes or memory are over the named limit.",
      action: "Split the table, or raise the named limit.",
    },
    zh: {
      meaning: "行数、列数、字节数或内存超过所示上限。",
      action: "请拆分表，或调高所示的上限。",
    },
  },
  "write-failed": {
    exit: 1,
    en: {
      meaning: "The output could not be written; nothing was left at its path.",
      action: "Check the directory, its permissions and the free space.",
    },
    zh: {
      meaning: "无法写入输出；其路径上没有留下任何文件。",
      action: "请检查目录、权限和剩余空间。",
    },
  },
  failed: {
    exit: 1,
    en: {
      meaning: "The database failed.",
      action: "Run again with --verbose and report what it prints, after removing private data.",
    },
    zh: {
      meaning: "数据库发生故障。",
      action: "请加上 --verbose 重新运行，去除隐私数据后报告其输出。",
    },
  },
};
