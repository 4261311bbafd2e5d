/** Both REST dialects, by plain fetch, as clients of others write them; and what is thrown at them. */
import { connect } from "node:net";
import { concat, utf8 } from "@vivarium/core";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RestServer, type ServingCore, serveRest } from "../src/index.ts";
import { elementsOf, flatten, type Json, nest, readElements } from "../src/rest/json.ts";
import { coreOf, freshDirectory, linearBytes, put, sigmoid, textBytes } from "./support.ts";

let core: ServingCore;
let server: RestServer;
let base: string;
beforeAll(async () => {
  const root = freshDirectory();
  put(root, "sum", 1, linearBytes(0));
  put(root, "sum", 2, linearBytes(1));
  put(root, "words", 1, textBytes());
  core = await coreOf(root, {
    policies: { sum: { kind: "latest", count: 2 } },
    labels: { sum: { stable: 1 } },
  });
  server = await serveRest({ host: "127.0.0.1", port: 0, core, version: "test" });
  base = `http://127.0.0.1:${server.port}`;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await core[Symbol.asyncDispose]();
});

const post = async (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${base}${path}`, {
    method: "POST",
    headers,
    body:
      body instanceof Uint8Array || typeof body === "string"
        ? (body as string)
        : JSON.stringify(body),
  });
  return {
    status: response.status,
    headers: response.headers,
    bytes: new Uint8Array(await response.arrayBuffer()),
  };
};
const json = ({ bytes }: { readonly bytes: Uint8Array }) =>
  JSON.parse(new TextDecoder().decode(bytes));
const get = async (path: string) => {
  const response = await fetch(`${base}${path}`);
  return { status: response.status, body: (await response.json()) as never };
};

describe("TensorFlow Serving", () => {
  test("predicts rows and columns", async () => {
    const rows = json(
      await post("/v1/models/sum:predict", {
        instances: [
          [1, 2],
          [-5, 1],
        ],
      }),
    );
    expect(rows.predictions).toHaveLength(2);
    expect(rows.predictions[0].label).toBe(1);
    expect(rows.predictions[0].probabilities[1]).toBeCloseTo(sigmoid(4), 5);
    expect(rows.predictions[1].label).toBe(0);
    const named = json(await post("/v1/models/sum:predict", { instances: [{ numbers: [1, 2] }] }));
    expect(named.predictions[0]).toEqual(rows.predictions[0]);
    const columns = json(
      await post("/v1/models/sum/versions/1:predict", { inputs: { numbers: [[1, 2]] } }),
    );
    expect(columns.outputs.probabilities[0][1]).toBeCloseTo(sigmoid(3), 5);
    const labelled = json(await post("/v1/models/sum/labels/stable:predict", { inputs: [[1, 2]] }));
    expect(labelled.outputs.probabilities[0][1]).toBeCloseTo(sigmoid(3), 5);
  });

  test("takes texts, and bytes as b64", async () => {
    const text = json(await post("/v1/models/words:predict", { instances: ["free money"] }));
    const b64 = json(
      await post("/v1/models/words:predict", { instances: [{ b64: btoa("free money") }] }),
    );
    expect(b64).toEqual(text);
  });

  test("tells status and metadata", async () => {
    const status = await get("/v1/models/sum");
    expect(status.body).toMatchObject({
      model_version_status: [{ version: "2", state: "AVAILABLE" }, { version: "1" }],
    });
    const metadata = await get("/v1/models/words/metadata");
    expect(metadata.body).toMatchObject({
      model_spec: { name: "words", version: "1" },
      metadata: {
        signature_def: {
          signature_def: { serving_default: { inputs: { text: { dtype: "DT_STRING" } } } },
        },
      },
    });
  });
});

describe("Open Inference Protocol", () => {
  const input = { name: "numbers", datatype: "FP32", shape: [1, 2], data: [1, 2] };
  test("infers from JSON, nested or flat", async () => {
    const flat = json(await post("/v2/models/sum/infer", { id: "7", inputs: [input] }));
    expect(flat).toMatchObject({ model_name: "sum", model_version: "2", id: "7" });
    expect(flat.parameters.model_digest).toBe(core.find({ name: "sum" }).digest);
    expect(flat.outputs[0]).toMatchObject({
      name: "probabilities",
      datatype: "FP32",
      shape: [1, 2],
    });
    const nested = json(
      await post("/v2/models/sum/infer", { inputs: [{ ...input, data: [[1, 2]] }] }),
    );
    expect(nested.outputs).toEqual(flat.outputs);
    const one = json(
      await post("/v2/models/sum/infer", { inputs: [input], outputs: [{ name: "label" }] }),
    );
    expect(one.outputs).toEqual([{ name: "label", datatype: "INT64", shape: [1], data: [1] }]);
  });

  test("infers from binary data, and answers in it", async () => {
    const header = utf8(
      JSON.stringify({
        inputs: [
          { name: "numbers", datatype: "FP32", shape: [1, 2], parameters: { binary_data_size: 8 } },
        ],
        parameters: { binary_data_output: true },
      }),
    );
    const data = new Uint8Array(new Float32Array([1, 2]).buffer);
    const answer = await post("/v2/models/sum/infer", concat(header, data), {
      "inference-header-content-length": String(header.length),
    });
    expect(answer.status).toBe(200);
    const length = Number(answer.headers.get("inference-header-content-length"));
    const head = JSON.parse(new TextDecoder().decode(answer.bytes.subarray(0, length)));
    expect(head.outputs[0].parameters.binary_data_size).toBe(8);
    const values = new Float32Array(answer.bytes.slice(length, length + 8).buffer);
    expect(values[1]).toBeCloseTo(sigmoid(4), 5);
    expect(answer.bytes.length).toBe(length + 16);
  });

  test("infers from texts with their lengths in front", async () => {
    const text = utf8("垃圾 mail");
    const size = Uint8Array.of(text.length, 0, 0, 0);
    const header = utf8(
      JSON.stringify({
        inputs: [
          {
            name: "text",
            datatype: "BYTES",
            shape: [1],
            parameters: { binary_data_size: 4 + text.length },
          },
        ],
      }),
    );
    const answer = await post("/v2/models/words/infer", concat(header, size, text), {
      "inference-header-content-length": String(header.length),
    });
    const same = json(
      await post("/v2/models/words/infer", {
        inputs: [{ name: "text", datatype: "BYTES", shape: [1], data: ["垃圾 mail"] }],
      }),
    );
    expect(json(answer).outputs).toEqual(same.outputs);
  });

  test("tells metadata and health", async () => {
    expect((await get("/v2")).body).toMatchObject({ extensions: ["binary_tensor_data"] });
    expect((await get("/v2/health/ready")).status).toBe(200);
    expect((await get("/v2/models/sum")).body).toMatchObject({
      versions: ["2", "1"],
      inputs: [{ name: "numbers", datatype: "FP32", shape: [-1, 2] }],
    });
    expect((await get("/v2/models/sum/versions/1/ready")).status).toBe(200);
    expect((await get("/v2/models/none/ready")).status).toBe(404);
  });
});

describe("what is thrown at it", () => {
  const secret = "my secret diagnosis";
  const infer = (input: object) => ({
    inputs: [{ name: "numbers", datatype: "FP32", shape: [1, 2], data: [1, 2], ...input }],
  });
  test.each<[string, string, unknown, number]>([
    ["no JSON", "/v2/models/sum/infer", secret, 400],
    ["another name", "/v2/models/sum/infer", infer({ name: secret }), 400],
    ["text for numbers", "/v2/models/sum/infer", infer({ data: [secret, 1] }), 400],
    ["numbers beyond the type", "/v2/models/sum/infer", infer({ data: [1e300, 1] }), 400],
    ["a shape of 2^60", "/v2/models/sum/infer", infer({ shape: [2 ** 30, 2 ** 30] }), 400],
    [
      "a claim of 2 GB",
      "/v2/models/sum/infer",
      infer({ shape: [2 ** 28, 2], data: undefined, parameters: { binary_data_size: 2 ** 31 } }),
      400,
    ],
    ["a negative shape", "/v2/models/sum/infer", infer({ shape: [-1, 2] }), 400],
    ["fewer elements", "/v2/models/sum/infer", infer({ data: [1] }), 400],
    ["another type", "/v2/models/sum/infer", infer({ datatype: "constructor" }), 400],
    ["ragged lists", "/v1/models/sum:predict", { instances: [[1, 2], [1]] }, 400],
    ["a list too deep", "/v1/models/sum:predict", { instances: [[[1], [2]]] }, 400],
    ["nothing", "/v1/models/sum:predict", {}, 400],
    ["both", "/v1/models/sum:predict", { instances: [[1, 2]], inputs: [[1, 2]] }, 400],
    ["bytes that are no text", "/v1/models/words:predict", { instances: [{ b64: "/w==" }] }, 400],
    ["b64 that is none", "/v1/models/words:predict", { instances: [{ b64: "***" }] }, 400],
    ["no such model", "/v1/models/none:predict", { instances: [1] }, 404],
    ["no such path", "/v3", {}, 400],
  ])("%s", async (_name, path, body, status) => {
    const answer = await post(path, body);
    expect(answer.status).toBe(status);
    expect(new TextDecoder().decode(answer.bytes)).not.toContain(secret);
    expect(json(answer).error).toMatch(/\.$/);
  });

  test("a header beyond its body, compressed bodies, too large ones", async () => {
    const long = await post("/v2/models/sum/infer", "{}", {
      "inference-header-content-length": "99999",
    });
    expect(long.status).toBe(400);
    expect((await post("/v2/models/sum/infer", "{}", { "content-encoding": "gzip" })).status).toBe(
      400,
    );
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(server.port, "127.0.0.1", () => {
        socket.write(
          "POST /v2/models/sum/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n",
        );
      });
      socket.on("data", (data) => {
        resolve(data.toString());
        socket.destroy();
      });
    });
    expect(answer).toContain("400");
    // And it still answers.
    expect((await post("/v1/models/sum:predict", { instances: [[1, 2]] })).status).toBe(200);
  });

  test("random documents give a good answer or an error, and the server lives", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.json(),
        fc.constantFrom("/v1/models/sum:predict", "/v2/models/words/infer"),
        async (body, path) => {
          expect([200, 400]).toContain((await post(path, body)).status);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test("nested lists are flattened and nested again", () => {
  const spec = { name: "x", dtype: "float64" as const, shape: [null, null, null] };
  const cube = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))
    .chain(([a, b]) =>
      fc.array(
        fc.array(fc.array(fc.integer(), { minLength: b, maxLength: b }), {
          minLength: a,
          maxLength: a,
        }),
        { minLength: 1, maxLength: 3 },
      ),
    );
  fc.assert(
    fc.property(cube, (value) => {
      const { shape, flat } = flatten(value as Json);
      const back = nest(shape, elementsOf(readElements(spec, shape, flat)));
      expect(back).toEqual(value);
    }),
  );
});
