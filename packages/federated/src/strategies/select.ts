/** Order statistics of each coordinate over the updates, without sorting. */

/** Coordinates handled together: a block of every update fits the cache while it is transposed. */
const block = 1024;

/**
 * Calls `visit` with the values of each coordinate, one an update; it may reorder them.
 * @param visit writes its result by index.
 */
export function eachCoordinate(
  vectors: readonly Float32Array[],
  visit: (values: Float32Array, index: number) => void,
): void {
  const count = vectors.length;
  const size = vectors[0]?.length ?? 0;
  const scratch = new Float32Array(block * count);
  for (let start = 0; start < size; start += block) {
    const length = Math.min(block, size - start);
    for (let v = 0; v < count; v++) {
      const vector = vectors[v] as Float32Array;
      for (let i = 0, at = v; i < length; i++, at += count) {
        scratch[at] = vector[start + i] as number;
      }
    }
    for (let i = 0; i < length; i++) {
      visit(scratch.subarray(i * count, (i + 1) * count), start + i);
    }
  }
}

/**
 * Puts the k smallest values in front (Hoare's selection): `values[k]` is then where sorting would put it.
 * @param from first index that may be moved.
 */
export function select(values: Float32Array, k: number, from = 0): number {
  let low = from;
  let high = values.length - 1;
  while (low < high) {
    // The middle of three: sorted and reversed input would else take the square of its length.
    const a = values[low] as number;
    const b = values[(low + high) >> 1] as number;
    const c = values[high] as number;
    const pivot = a < b ? (b < c ? b : a < c ? c : a) : a < c ? a : b < c ? c : b;
    let i = low - 1;
    let j = high + 1;
    for (;;) {
      do i++;
      while ((values[i] as number) < pivot);
      do j--;
      while ((values[j] as number) > pivot);
      if (i >= j) break;
      const swap = values[i] as number;
      values[i] = values[j] as number;
      values[j] = swap;
    }
    if (k <= j) high = j;
    else low = j + 1;
  }
  return values[k] as number;
}

/** The middle value; of an even number the mean of the two. Reorders its input. */
export function medianOf(values: Float32Array): number {
  const half = values.length >> 1;
  const upper = select(values, half);
  if (values.length % 2 === 1) return upper;
  let lower = values[0] as number;
  for (let i = 1; i < half; i++) if ((values[i] as number) > lower) lower = values[i] as number;
  return (lower + upper) / 2;
}
