/** Counters for Prometheus, and how long a request may wait for its turn. */
import { afterEach, expect, test } from "vitest";
import { type RestServer, type ServingCore, serveRest } from "../src/index.ts";
import { coreOf, freshDirectory, linearBytes, put } from "./support.ts";

const open: (ServingCore | RestServer)[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function serve(maxDelayMs: number): Promise<string> {
  const root = freshDirectory();
  put(root, "sum", 1, linearBytes(0));
  const core = await coreOf(root, {}, { maxRows: 8, maxDelayMs });
  open.push(core);
  const server = await serveRest({ host: "127.0.0.1", port: 0, core, version: "test" });
  open.push(server);
  return `http://127.0.0.1:${server.port}`;
}

const infer = (base: string, rows: number, parameters: object = {}): Promise<Response> =>
  fetch(`${base}/v2/models/sum/infer`, {
    method: "POST",
    body: JSON.stringify({
      inputs: [
        {
          name: "numbers",
          datatype: "FP32",
          shape: [rows, 2],
          data: Array.from({ length: rows * 2 }, () => 31_415),
        },
      ],
      parameters,
    }),
  });

test("counts answers, refusals, rows and runs of a model, and holds nothing of a request", async () => {
  const base = await serve(0);
  expect((await infer(base, 3)).status).toBe(200);
  expect((await infer(base, 1)).status).toBe(200);
  // Well formed, but more rows than a request may have: refused by the queue.
  expect((await infer(base, 5_000)).status).toBe(400);
  // A model that is not there must not become a label.
  await fetch(`${base}/v1/models/patient-31415:predict`, { method: "POST", body: "{}" });
  const response = await fetch(`${base}/metrics`);
  expect(response.headers.get("content-type")).toContain("version=0.0.4");
  const text = await response.text();
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}\\{model="sum",version="1"\\} (\\d+)$`, "m").exec(text)?.[1];
  expect(value("nv_inference_request_success")).toBe("2");
  expect(value("nv_inference_request_failure")).toBe("1");
  expect(value("nv_inference_count")).toBe("4");
  expect(value("nv_inference_exec_count")).toBe("2");
  expect(value("nv_inference_pending_request_count")).toBe("0");
  expect(text).not.toContain("31415");
});

test("a request whose timeout ends before its turn is answered with 504", async () => {
  const base = await serve(60);
  expect((await infer(base, 1, { timeout: 1_000 })).status).toBe(504);
  expect((await infer(base, 1, { timeout: 60_000_000 })).status).toBe(200);
  expect((await infer(base, 1, { timeout: 0 })).status).toBe(200);
  for (const timeout of [-1, 1.5, "soon", null]) {
    expect((await infer(base, 1, { timeout })).status).toBe(400);
  }
});
