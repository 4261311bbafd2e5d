/** What the catalogue says about one error. */

/** 0 done, 1 failed, 2 bad input, 3 refused by a policy. */
export type ExitCode = 0 | 1 | 2 | 3;

export interface Wording {
  /** What has happened, one sentence. */
  readonly meaning: string;
  /** What to do about it, one or two sentences. */
  readonly action: string;
}

export interface Entry {
  readonly exit: Exclude<ExitCode, 0>;
  readonly en: Wording;
  readonly zh: Wording;
}

/** One entry for every code of a package: a code without an entry does not compile. */
export type Entries<Code extends string> = Readonly<Record<Code, Entry>>;
