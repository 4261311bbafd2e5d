/**
 * A strict scan of text tables before DuckDB reads them. DuckDB drops a record whose quote never
 * closes at the end of the file, and gives no line for mixed line ends: the scan refuses both by
 * line, bounds every record, and counts them, so that a disagreement about rows is an error and
 * never a shorter result.
 */
import { createReadStream } from "node:fs";
import { concat, fromUtf8, throwIfAborted } from "@vivarium/core";
import { causedBy, TablesError } from "./errors.ts";
import type { TableLimits } from "./limits.ts";

/** How a CSV file is written (RFC 4180 with another delimiter if wanted). */
export interface CsvDialect {
  /** One ASCII character, not a quote, line end, space, letter or digit. */
  readonly delimiter: string;
  /** `"` or none. Inside quotes a quote is doubled. */
  readonly quote: '"' | "";
}

export interface CsvShape {
  /** Fields of the first record, quotes undone. */
  readonly first: readonly string[];
  /** Records, the first included. */
  readonly records: number;
}

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const OPEN_BRACE = 123;

/** Where the scan stands within a field. */
type Place = "start" | "spaces" | "plain" | "quoted" | "closed";

/** @throws TablesError `malformed` or `limit-exceeded`, with the line. */
export async function scanCsv(
  path: string,
  name: string,
  dialect: CsvDialect,
  limits: TableLimits,
  signal?: AbortSignal,
): Promise<CsvShape> {
  const scanner = new CsvScanner(name, dialect, limits);
  for await (const chunk of bytesOf(path, name, signal)) scanner.feed(chunk);
  return scanner.end();
}

class CsvScanner {
  readonly #name: string;
  readonly #dialect: CsvDialect;
  readonly #limits: TableLimits;
  #place: Place = "start";
  #line = 1;
  #recordLine = 1;
  #recordBytes = 0;
  #records = 0;
  #fields = 1;
  /** A CR was read; whether an LF follows decides the kind of line end. */
  #heldCr = false;
  #lineEnd: "\n" | "\r\n" | "\r" | undefined;
  #first: readonly string[] | undefined;
  #head: number[] = [];

  constructor(name: string, dialect: CsvDialect, limits: TableLimits) {
    this.#name = name;
    this.#dialect = dialect;
    this.#limits = limits;
  }

  feed(chunk: Uint8Array): void {
    const delimiter = this.#dialect.delimiter.charCodeAt(0);
    const quote = this.#dialect.quote === "" ? -1 : 34;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#heldCr) {
        this.#heldCr = false;
        this.#endLine(byte === LF ? "\r\n" : "\r");
        if (byte === LF) continue;
      }
      if (this.#place === "quoted") {
        if (byte === quote) this.#place = "closed";
        else if (byte === LF) this.#line++;
      } else if (byte === LF) {
        this.#endLine("\n");
        continue;
      } else if (byte === CR) {
        this.#heldCr = true;
        continue;
      } else if (byte === delimiter) this.#nextField();
      else this.#character(byte, quote);
      this.#recordBytes++;
      if (this.#recordBytes > this.#limits.maxRecordBytes) throw this.#tooLong();
      if (this.#first === undefined) this.#head.push(byte);
    }
  }

  end(): CsvShape {
    if (this.#heldCr) this.#endLine("\r");
    // DuckDB would drop this record, and with it everything after the stray quote.
    if (this.#place === "quoted") throw this.#fail(this.#recordLine, "a quoted value does not end");
    if (this.#recordBytes > 0) this.#endRecord();
    return { first: this.#first ?? [], records: this.#records };
  }

  #character(byte: number, quote: number): void {
    if (byte === quote && this.#place === "spaces") {
      // DuckDB would strip the spaces and the quotes: not the text as it stands.
      throw this.#fail(this.#line, "a space stands before an opening quote");
    }
    // After a closing quote, a quote is the second of a doubled one.
    if (byte === quote && this.#place !== "plain") this.#place = "quoted";
    else if (this.#place === "closed") {
      throw this.#fail(this.#line, "characters follow a closing quote");
    } else if (byte === SPACE && this.#place === "start") this.#place = "spaces";
    else if (byte !== SPACE) this.#place = "plain";
  }

  #nextField(): void {
    this.#fields++;
    if (this.#fields > this.#limits.maxColumns) {
      throw new TablesError(
        "limit-exceeded",
        `${this.#name}, line ${this.#line}: over the limit of ${this.#limits.maxColumns} columns (maxColumns).`,
      );
    }
    this.#place = "start";
  }

  #endLine(kind: "\n" | "\r\n" | "\r"): void {
    if (this.#lineEnd !== undefined && this.#lineEnd !== kind) {
      throw this.#fail(this.#line, "the line end differs from those before (LF, CR LF or CR)");
    }
    this.#lineEnd = kind;
    this.#endRecord();
    this.#line++;
    this.#recordLine = this.#line;
  }

  #endRecord(): void {
    const columns = this.#first?.length;
    // DuckDB would take it for the header, or skip it, or for a record of one column.
    if (columns === undefined && this.#recordBytes === 0) {
      throw this.#fail(this.#line, "the first line is empty");
    }
    // Empty lines are skipped, except where an empty line is a record of one empty column.
    if (this.#recordBytes > 0 || columns === 1) {
      if (columns === undefined) {
        this.#first = splitRecord(Uint8Array.from(this.#head), this.#dialect, this.#name);
        this.#head = [];
      } else if (this.#fields !== columns) {
        throw this.#fail(this.#recordLine, `expected ${columns} columns, found ${this.#fields}`);
      }
      this.#records++;
    }
    this.#place = "start";
    this.#fields = 1;
    this.#recordBytes = 0;
  }

  #fail(line: number, reason: string): TablesError {
    return new TablesError("malformed", `${this.#name}, line ${line}: ${reason}.`);
  }

  #tooLong(): TablesError {
    return new TablesError(
      "limit-exceeded",
      `${this.#name}, line ${this.#recordLine}: the record is over the limit of ${this.#limits.maxRecordBytes} bytes (maxRecordBytes).`,
    );
  }
}

/** Fields of one record that the scanner has found well-formed. */
function splitRecord(bytes: Uint8Array, dialect: CsvDialect, name: string): readonly string[] {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch (cause) {
    throw causedBy(cause, "malformed", `${name}, line 1: the text is not valid UTF-8.`);
  }
  if (dialect.quote === "") return text.split(dialect.delimiter);
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    let field = "";
    if (text[at] === '"') {
      for (at++; ; at++) {
        const close = text.indexOf('"', at);
        field += text.slice(at, close);
        at = close + 1;
        if (text[at] !== '"') break;
        field += '"';
      }
    } else {
      const next = text.indexOf(dialect.delimiter, at);
      field = text.slice(at, next < 0 ? text.length : next);
      at += field.length;
    }
    fields.push(field);
    if (at >= text.length) return fields;
    at++;
  }
}

/**
 * Counts the objects of a JSON lines file: lines that are not blank. What is inside is DuckDB's to
 * parse.
 * @throws TablesError `malformed` (a line that is no object) or `limit-exceeded`, with the line.
 */
export async function scanJsonLines(
  path: string,
  name: string,
  limits: TableLimits,
  signal?: AbortSignal,
): Promise<number> {
  let line = 1;
  let lineBytes = 0;
  let blank = true;
  let records = 0;
  for await (const chunk of bytesOf(path, name, signal)) {
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (byte === LF) {
        if (!blank) records++;
        line++;
        lineBytes = 0;
        blank = true;
        continue;
      }
      if (blank && byte !== SPACE && byte !== CR && byte !== TAB) {
        if (byte !== OPEN_BRACE) {
          throw new TablesError("malformed", `${name}, line ${line}: not a JSON object.`);
        }
        blank = false;
      }
      lineBytes++;
      if (lineBytes > limits.maxRecordBytes) {
        throw new TablesError(
          "limit-exceeded",
          `${name}, line ${line}: the record is over the limit of ${limits.maxRecordBytes} bytes (maxRecordBytes).`,
        );
      }
    }
  }
  return blank ? records : records + 1;
}

/**
 * The first line that is not one JSON value. Asked only after DuckDB has refused the file: its own
 * line numbers leave out blank lines and are one too high.
 */
export async function findMalformedJson(
  path: string,
  name: string,
  signal?: AbortSignal,
): Promise<number | undefined> {
  let line = 1;
  let pending: Uint8Array[] = [];
  const malformed = (): boolean => {
    const bytes = concat(...pending);
    pending = [];
    try {
      const text = fromUtf8(bytes);
      if (text.trim() !== "") JSON.parse(text);
      return false;
    } catch {
      return true;
    }
  };
  for await (const chunk of bytesOf(path, name, signal)) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      pending.push(chunk.subarray(start, end));
      if (malformed()) return line;
      line++;
      start = end + 1;
    }
    pending.push(chunk.slice(start));
  }
  return malformed() ? line : undefined;
}

/** The file without its byte-order mark. */
async function* bytesOf(
  path: string,
  name: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let start = true;
  const stream = createReadStream(path, { highWaterMark: 256 * 1024 });
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    throwIfAborted(signal);
    if (!start) {
      yield chunk;
      continue;
    }
    start = false;
    if ((chunk[0] === 0xff && chunk[1] === 0xfe) || (chunk[0] === 0xfe && chunk[1] === 0xff)) {
      throw new TablesError("malformed", `${name} is UTF-16; save it as UTF-8.`);
    }
    const marked = chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
    yield marked ? chunk.subarray(3) : chunk;
  }
}
