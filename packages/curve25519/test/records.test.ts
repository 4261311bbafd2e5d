import { systemRandom } from "@vivarium/core";
import * as addon from "@vivarium/curve25519/addon";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gatherRecords, noRecord, RecordList, RecordTable } from "../src/records.ts";

const random = systemRandom();

for (const native of [true, false]) {
  describe.skipIf(native && addon.recordsAdd === undefined)(
    native ? "native" : "JavaScript",
    () => {
      test("behave as a map, at every width and offset", () => {
        fc.assert(
          fc.property(
            fc.constantFrom(8, 10, 11, 12, 13, 32, 64),
            fc.nat(7),
            fc.array(fc.nat(60), { maxLength: 300 }),
            (width, offset, values) => {
              const records = (of: readonly number[]): Uint8Array => {
                const bytes = new Uint8Array(offset + width * of.length);
                for (const [i, value] of of.entries()) {
                  bytes[offset + i * width + (value % width)] = 1 + value;
                }
                return bytes.subarray(offset);
              };
              const table = new RecordTable(width, random, 1, native);
              const model = new Map<number, number>();
              const half = values.length >> 1;
              const indices = [
                ...table.add(records(values.slice(0, half))),
                ...table.add(records(values.slice(half))),
              ];
              for (const [i, value] of values.entries()) {
                const expected = model.get(value) ?? model.size;
                model.set(value, expected);
                expect(indices[i]).toBe(expected);
              }
              const distinct = records([...model.keys()]);
              expect(table.size).toBe(model.size);
              expect(table.records).toEqual(distinct);
              const places = [...values.map((value) => model.get(value)), noRecord];
              expect([...table.find(records([...values, 61]))]).toEqual(places);
              const list = new RecordList(distinct, width, random, native);
              expect(list.repeated).toBe(-1);
              expect([...list.find(records([...values, 61]))]).toEqual(places);
              const twice = new RecordList(
                records([...model.keys(), 61, 61]),
                width,
                random,
                native,
              );
              expect(twice.repeated).toBe(model.size + 1);
            },
          ),
          { numRuns: 60 },
        );
      });

      test("every byte of a record counts", () => {
        for (const width of [8, 9, 10, 13, 31, 32]) {
          const table = new RecordTable(width, random, 4, native);
          const base = random.bytes(width);
          table.add(base);
          for (let i = 0; i < width; i++) {
            const other = base.slice();
            other[i] = (other[i] as number) ^ 0x80;
            expect([...table.find(other)]).toEqual([noRecord]);
          }
          expect([...table.find(base)]).toEqual([0]);
        }
      });

      test("records are gathered in any order, and none beyond the last", () => {
        for (const width of [1, 10, 13, 32]) {
          const records = random.bytes(50 * width);
          const order = Uint32Array.from({ length: 70 }, (_, i) => (i * 37) % 50);
          const expected = [...order].flatMap((i) => [
            ...records.subarray(i * width, (i + 1) * width),
          ]);
          expect([...gatherRecords(records, width, order, native)]).toEqual(expected);
          expect(() => gatherRecords(records, width, Uint32Array.of(50), native)).toThrow(
            RangeError,
          );
        }
      });

      test("records chosen to share their low bits do not pile up", () => {
        const n = 200_000;
        const bytes = new Uint8Array(32 * n);
        const view = new DataView(bytes.buffer);
        for (let i = 0; i < n; i++) view.setUint32(32 * i + 12, i << 12);
        const list = new RecordList(bytes, 32, random, native);
        expect(list.repeated).toBe(-1);
        expect([...list.find(bytes.subarray(32 * (n - 1)))]).toEqual([n - 1]);
      });
    },
  );
}

test("the native code refuses what would leave its tables", ({ skip }) => {
  const { recordsAdd, recordsFind } = addon;
  if (recordsAdd === undefined || recordsFind === undefined) skip("not compiled here");
  else {
    const seeds = new Uint8Array(32);
    const records = new Uint8Array(320);
    const out = new Uint32Array(1);
    const one = new Uint8Array(10);
    const add = (slots: number, width: number, size: number, source = one): unknown =>
      recordsAdd(new Uint32Array(slots), seeds, width, records, size, source, out);
    expect(add(64, 10, 0)).toBe(1);
    // Slots that are no power of two, widths, sizes beyond the records, no free slot left, ragged source.
    expect(() => add(60, 10, 0)).toThrow();
    expect(() => add(64, 7, 0)).toThrow();
    expect(() => add(64, 65, 0)).toThrow();
    expect(() => add(64, 10, 32)).toThrow();
    expect(() => add(4, 10, 1)).toThrow();
    expect(() => add(64, 10, 0, new Uint8Array(11))).toThrow();
    expect(() =>
      recordsAdd(new Uint32Array(64), seeds.subarray(1), 10, records, 0, one, out),
    ).toThrow();
    // A slot that points beyond the records is not followed.
    const slots = new Uint32Array(64);
    for (let i = 0; i < 32; i++) slots.set([0, 0xffff_ff00], 2 * i);
    slots.set([0, 0], 62);
    recordsFind(slots, seeds, 10, records, 1, one, out);
    expect(out[0]).toBe(noRecord);
  }
});
