/** Bounds of what launches are computed from. */
export const measureLimits = {
  /** 64 MiB. An image ends at 4 GiB; the largest in use have 16 MiB. */
  firmwareBytes: 67_108_864,
  sections: 64,
  /** 256 MiB in all that SNP measures beside the image. */
  sectionPages: 65_536,
  processors: 4_096,
  commandLineBytes: 65_536,
} as const;
