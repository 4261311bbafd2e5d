/** Every bound of the package, in one table (also in the README). */
export const psiLimits = {
  /** Items of one side that a configuration may allow. Bitmaps and indices are 32 bit. */
  maxItems: 100_000_000,
  /** Points, tags or items of one frame and one pool task: 64 KiB of points. */
  batchItems: 2_048,
  /** Tags of one sealed segment of a checkpoint: a whole number of batches. */
  segmentItems: 65_536,
  /** Bytes of items in one pool task. */
  batchBytes: 1_048_576,
  /** Bytes of a result bitmap in one frame. */
  bitmapFrameBytes: 65_536,
  /** Bytes of a Hello, Sizes, Count or Done frame. */
  maxControlBytes: 65_536,
  /** Key columns in a configuration. */
  maxKeyColumns: 16,
  /** Characters of a name or normaliser in a configuration. */
  maxNameChars: 256,
  /** Frames that wait to be sent, and as many that wait to be read. */
  queuedFrames: 8,
  /** Bytes of one label. */
  maxLabelBytes: 4_096,
  /** Columns of a label. */
  maxLabelColumns: 16,
  /** Decimals of a number to be summed. */
  maxDecimals: 9,
  /** Default silence of the peer, heartbeats included, before the run ends with `timeout`. */
  idleTimeoutMs: 300_000,
  /** Milliseconds between heartbeats of a side that has nothing to send. */
  heartbeatMs: 15_000,
  /** Milliseconds given to the last frames when a run ends. */
  lingerMs: 5_000,
} as const;
