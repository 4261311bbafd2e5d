/** Labelled examples as sparse rows. */
import { hashText } from "@vivarium/tensors";
import { FederatedError } from "../errors.ts";

/** Row i has the features `indices[offsets[i]..offsets[i+1]]` with `values` beside them. */
export interface Examples {
  readonly features: number;
  readonly offsets: Uint32Array;
  readonly indices: Uint32Array;
  readonly values: Float32Array;
  /** Class of each row. */
  readonly labels: Uint16Array;
}

export type Example =
  | { readonly text: string; readonly label: number }
  | { readonly numbers: readonly number[]; readonly label: number };

/** @throws FederatedError `bad-data` for an example that does not fit. */
export function examplesOf(rows: readonly Example[], features: number, classes: number): Examples {
  const offsets = new Uint32Array(rows.length + 1);
  const indices: number[] = [];
  const values: number[] = [];
  const labels = new Uint16Array(rows.length);
  for (const [i, row] of rows.entries()) {
    if (!Number.isInteger(row.label) || row.label < 0 || row.label >= classes) {
      throw new FederatedError(
        "bad-data",
        `Example ${i + 1} has a label other than 0 to ${classes - 1}.`,
      );
    }
    labels[i] = row.label;
    if ("text" in row) {
      const hashed = [...hashText(row.text, features)].sort(([a], [b]) => a - b);
      for (const [bucket, value] of hashed) {
        indices.push(bucket);
        values.push(value);
      }
    } else {
      if (row.numbers.length !== features || !row.numbers.every(Number.isFinite)) {
        throw new FederatedError("bad-data", `Example ${i + 1} must have ${features} numbers.`);
      }
      for (const [index, value] of row.numbers.entries()) {
        if (value === 0) continue;
        indices.push(index);
        values.push(value);
      }
    }
    offsets[i + 1] = indices.length;
  }
  return {
    features,
    offsets,
    indices: Uint32Array.from(indices),
    values: Float32Array.from(values),
    labels,
  };
}

const maxLineBytes = 4 * 1024 * 1024;

/**
 * JSON lines: `{"text": "…", "label": 1}` or `{"numbers": [0.5, …], "label": 1}`.
 * @throws FederatedError `bad-data`, naming the line; never its content.
 */
export function parseJsonLines(text: string, input: "text" | "numbers"): readonly Example[] {
  const rows: Example[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const bad = (what: string, cause?: unknown): never => {
      throw new FederatedError("bad-data", `Line ${i + 1} of the data ${what}.`, { cause });
    };
    if (line.length > maxLineBytes) bad(`is over ${maxLineBytes} characters`);
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      // The parser's message quotes the data.
      bad("is not JSON");
    }
    const row = value as Readonly<Record<string, unknown>> | null;
    const label = typeof row === "object" && row !== null ? row["label"] : undefined;
    if (typeof label !== "number") bad("has no number as its label");
    const content = row?.[input];
    if (input === "text" && typeof content === "string") {
      rows.push({ text: content, label: label as number });
    } else if (
      input === "numbers" &&
      Array.isArray(content) &&
      content.every((item) => typeof item === "number")
    ) {
      rows.push({ numbers: content as number[], label: label as number });
    } else {
      bad(`has no ${input}`);
    }
  }
  return rows;
}
