/** Every bound of the package, in one table (also in the README). */
export const servingLimits = {
  /** Bytes of a request's body or of its tensors. */
  requestBytes: 67_108_864,
  /** Bytes of JSON in front of a request's binary tensors, and of a request over a channel. */
  headerBytes: 1_048_576,
  /** Inputs of a request. */
  inputs: 64,
  /** Dimensions of an input. */
  rank: 8,
  /** Elements of an input of texts. */
  texts: 65_536,
  /** Models, and versions of each, in a repository. */
  models: 1_024,
  versions: 1_024,
  /** Bytes of a model file. */
  modelBytes: 2_147_483_648,
  /** Requests that wait for one model; one more is refused. */
  queue: 1_024,
  /** Rows of one run of a model. */
  batchRows: 4_096,
} as const;
