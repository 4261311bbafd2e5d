import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { countEvents, createMetrics, type Metrics } from "../src/metrics.ts";
import { type OpsServer, serveOps } from "../src/serve.ts";

const open: (OpsServer | Metrics)[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});

function metrics(version = "0.1.0"): Metrics {
  const made = createMetrics({ build: { version, bundleDigest: "ab12" } });
  open.push(made);
  return made;
}

async function serve(options: Partial<Parameters<typeof serveOps>[0]> = {}): Promise<OpsServer> {
  const server = await serveOps({ port: 0, metrics: metrics(), ...options });
  open.push(server);
  return server;
}

const get = (server: OpsServer, path: string, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${server.port}${path}`, init);

/** Sends bytes and gives what comes back until the server ends the connection. */
function raw(server: OpsServer, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(server.port, "127.0.0.1", () => socket.write(bytes));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
  });
}

describe("serveOps", () => {
  it("listens on loopback and answers its three paths", async () => {
    const server = await serve({ checks: { attested: () => true, engine: async () => true } });
    expect(server.host).toBe("127.0.0.1");
    expect(await (await get(server, "/livez")).text()).toBe("ok\n");
    expect(await (await get(server, "/readyz?x=1")).text()).toBe("ready\n");
    const response = await get(server, "/metrics");
    expect(response.headers.get("content-type")).toMatch(/version=0\.0\.4/);
    expect(await response.text()).toContain(
      'vivarium_build_info{version="0.1.0",bundle_digest="ab12"',
    );
    expect((await get(server, "/")).status).toBe(404);
    const post = await get(server, "/livez", { method: "POST", body: "x" });
    expect([post.status, post.headers.get("connection")]).toEqual([405, "close"]);
  });

  it("is not ready when a check says no, throws, hangs or is merely truthy, and tells no reason", async () => {
    const server = await serve({
      limits: { checkTimeoutMs: 30 },
      checks: {
        fine: () => true,
        no: () => false,
        throws: () => {
          throw new Error("canary-reason");
        },
        hangs: () => new Promise<boolean>(() => {}),
        truthy: () => "yes" as never,
      },
    });
    const response = await get(server, "/readyz");
    expect(response.status).toBe(503);
    expect(await response.text()).toBe("not ready: no, throws, hangs, truthy\n");
  });

  it("answers 500 without a reason when rendering fails", async () => {
    const broken = { ...metrics(), render: () => Promise.reject(new Error("canary-reason")) };
    const response = await get(await serve({ metrics: broken }), "/metrics");
    expect([response.status, await response.text()]).toEqual([500, "error\n"]);
  });

  it("ends slow headers, silent connections and oversize headers", async () => {
    // Each limit alone, or one would hide that another does nothing.
    const slow = await serve({ limits: { headersTimeoutMs: 100, requestTimeoutMs: 60_000 } });
    expect(await raw(slow, "GET /livez HTTP/1.1\r\nX-Slow: ")).toMatch(/^HTTP\/1\.1 408/);
    const silent = await serve({ limits: { requestTimeoutMs: 100, headersTimeoutMs: 100 } });
    expect(await raw(silent, "")).toMatch(/^HTTP\/1\.1 408|^$/);
    const small = await serve({ limits: { maxHeaderBytes: 1024 } });
    const request = `GET /livez HTTP/1.1\r\nX: ${"x".repeat(2000)}\r\n\r\n`;
    expect(await raw(small, request)).toMatch(/^HTTP\/1\.1 431/);
  });

  it("ends idle connections and slow bodies", async () => {
    const idle = await serve({ limits: { idleTimeoutMs: 100 } });
    expect(await raw(idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")).toMatch(/^HTTP\/1\.1 200/);
    const body = "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
    const slow = await serve({ limits: { requestTimeoutMs: 100, headersTimeoutMs: 100 } });
    expect(await raw(slow, body)).toMatch(/^HTTP\/1\.1/);
  });

  it("refuses limits and ports that mean nothing", async () => {
    for (const limits of [
      { maxConnections: 0 },
      { requestTimeoutMs: 1.5 },
      { headersTimeoutMs: 60_000 },
    ]) {
      await expect(serve({ limits })).rejects.toMatchObject({ code: "invalid-argument" });
    }
    for (const port of [-1, 65_536, 1.5]) {
      await expect(serve({ port })).rejects.toMatchObject({ code: "invalid-argument" });
    }
  });

  it("refuses bad names of checks and a port in use", async () => {
    await expect(serve({ checks: { "Bad Name\n": () => true } })).rejects.toMatchObject({
      code: "invalid-argument",
    });
    const { port } = await serve();
    await expect(serve({ port })).rejects.toMatchObject({ domain: "ops", code: "listen-failed" });
  });
});

describe("createMetrics", () => {
  it("keeps labels within their closed values", async () => {
    const made = metrics('1"}\ncanary 1');
    made.verification({
      tee: "canary-tee",
      result: "refused",
      reason: "canary-reason",
      seconds: 0.2,
      ageSeconds: 3,
    });
    made.verification({ tee: "simulated", result: "accepted", reason: "none", seconds: 0.2 });
    made.handshake("canary-result" as never);
    const text = await made.render();
    expect(text).not.toContain("canary");
    expect(text).toContain(
      'vivarium_attestation_verifications_total{tee="other",result="refused",reason="other"} 1',
    );
    expect(text).toContain(
      'vivarium_attestation_verifications_total{tee="simulated",result="accepted",reason="none"} 1',
    );
    expect(text).toContain("vivarium_evidence_age_seconds_count 1");
  });

  it("has the fixed names, in a registry of its own", async () => {
    const [one, two] = [metrics(), metrics()];
    one.keyRelease("accepted");
    one.rekey("limit");
    one.aeadFailure();
    one.collateralExpires(2000);
    one.psiRate(5);
    const end = one.job();
    expect(await one.render()).toContain("vivarium_jobs_in_flight 1");
    end();
    end();
    const text = await one.render();
    for (const line of [
      'vivarium_key_releases_total{result="accepted"} 1',
      'vivarium_channel_rekeys_total{cause="limit"} 1',
      "vivarium_aead_failures_total 1",
      "vivarium_collateral_expiry_timestamp_seconds 2",
      "vivarium_psi_elements_per_second 5",
      "vivarium_jobs_in_flight 0",
      "vivarium_job_duration_seconds_count 1",
    ]) {
      expect(text).toContain(line);
    }
    expect(text).toContain("vivarium_event_loop_lag_seconds");
    expect(await two.render()).toContain("vivarium_aead_failures_total 0");
  });

  it("counts handshakes from the log and passes events on", async () => {
    const made = metrics();
    const seen: string[] = [];
    const log = countEvents({ event: (_, name) => void seen.push(name) }, made);
    for (const name of [
      "channel.accepted",
      "channel.refused",
      "channel.reattested",
      "worker.ready",
    ])
      log.event("info", name);
    const text = await made.render();
    expect(seen).toHaveLength(4);
    expect(text).toContain('vivarium_channel_handshakes_total{result="accepted"} 1');
    expect(text).toContain('vivarium_channel_handshakes_total{result="refused"} 1');
    expect(text).toContain('vivarium_channel_rekeys_total{cause="reattestation"} 1');
  });
});
