/**
 * Metrics with fixed names and closed label values, in a registry of their own. A label is never a
 * party, a job or a peer's text: those would grow without bound and tell what nobody declared.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import type { Log } from "@vivarium/core";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

/** The values that labels may take, besides `other`. TEEs and reasons as `attestation` names them. */
export const metricLabels: {
  readonly tee: readonly string[];
  readonly result: readonly ["accepted", "refused"];
  readonly reason: readonly string[];
  readonly cause: readonly ["reattestation", "limit", "request"];
} = {
  tee: [
    "sgx",
    "tdx",
    "snp",
    "sev",
    "sev-es",
    "csv",
    "cca",
    "tpm",
    "az-snp-vtpm",
    "az-tdx-vtpm",
    "nitro",
    "simulated",
  ],
  result: ["accepted", "refused"],
  reason: [
    "none",
    "malformed",
    "not-genuine",
    "refused-by-policy",
    "expired",
    "unknown-type",
    "unavailable",
  ],
  cause: ["reattestation", "limit", "request"],
};

export interface MetricsOptions {
  readonly build: {
    readonly version: string;
    /** Hexadecimal digest of the measured bundle, or "none". */
    readonly bundleDigest: string;
  };
}

export interface Metrics {
  /** One piece of evidence was appraised. Unknown label values count as `other`. */
  verification(outcome: {
    readonly tee: string;
    readonly result: "accepted" | "refused";
    readonly reason: string;
    /** Time it took, in seconds. */
    readonly seconds: number;
    /** Age of the evidence, in seconds, where it carries its time. */
    readonly ageSeconds?: number;
  }): void;
  /** When the first piece of collateral in use expires, milliseconds since 1970. */
  collateralExpires(ms: number): void;
  keyRelease(result: "accepted" | "refused"): void;
  handshake(result: "accepted" | "refused"): void;
  rekey(cause: (typeof metricLabels.cause)[number]): void;
  aeadFailure(): void;
  /** A job begins; the returned function ends it, once. */
  job(): () => void;
  /** Items a second of the running set intersection; 0 at its end. */
  psiRate(itemsPerSecond: number): void;
  /** The exposition format of Prometheus, version 0.0.4. */
  render(): Promise<string>;
  readonly contentType: string;
  /** Stops measuring the event loop. */
  close(): void;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers });

  const verifications = counter(
    "vivarium_attestation_verifications_total",
    "Appraisals of evidence.",
    ["tee", "result", "reason"],
  );
  // Coarse buckets: fine timings of a verifier tell about what it verifies.
  const verifySeconds = histogram(
    "vivarium_attestation_verify_seconds",
    "Time of an appraisal.",
    [0.001, 0.01, 0.1, 1, 10],
  );
  const evidenceAge = histogram(
    "vivarium_evidence_age_seconds",
    "Age of evidence.",
    [1, 10, 60, 600, 3600, 86_400],
  );
  const collateral = gauge(
    "vivarium_collateral_expiry_timestamp_seconds",
    "When the first collateral in use expires.",
  );
  const releases = counter("vivarium_key_releases_total", "Keys asked for.", ["result"]);
  const handshakes = counter("vivarium_channel_handshakes_total", "Handshakes.", ["result"]);
  const rekeys = counter("vivarium_channel_rekeys_total", "Fresh keys of channels.", ["cause"]);
  const aead = counter("vivarium_aead_failures_total", "Sealed data that did not open.");
  const inFlight = gauge("vivarium_jobs_in_flight", "Jobs that run.");
  const jobSeconds = histogram(
    "vivarium_job_duration_seconds",
    "Time of a job.",
    [0.1, 1, 10, 60, 600, 3600],
  );
  const psi = gauge("vivarium_psi_elements_per_second", "Items a second of the running PSI.");
  const lag = measureLoop(registry);
  gauge("vivarium_build_info", "What runs.", ["version", "bundle_digest", "node"]).set(
    {
      version: token(options.build.version),
      bundle_digest: token(options.build.bundleDigest),
      node: token(process.version),
    },
    1,
  );

  return {
    verification({ tee, result, reason, seconds, ageSeconds }) {
      verifications.inc({
        tee: known(metricLabels.tee, tee),
        result: known(metricLabels.result, result),
        reason: known(metricLabels.reason, reason),
      });
      verifySeconds.observe(Math.max(0, seconds));
      if (ageSeconds !== undefined) evidenceAge.observe(Math.max(0, ageSeconds));
    },
    collateralExpires: (ms) => collateral.set(ms / 1000),
    keyRelease: (result) => releases.inc({ result: known(metricLabels.result, result) }),
    handshake: (result) => handshakes.inc({ result: known(metricLabels.result, result) }),
    rekey: (cause) => rekeys.inc({ cause: known(metricLabels.cause, cause) }),
    aeadFailure: () => aead.inc(),
    job() {
      inFlight.inc();
      const end = jobSeconds.startTimer();
      let running = true;
      return () => {
        if (!running) return;
        running = false;
        inFlight.dec();
        end();
      };
    },
    psiRate: (itemsPerSecond) => psi.set(itemsPerSecond),
    render: () => registry.metrics(),
    contentType: registry.contentType,
    close: () => void lag.disable(),
  };
}

/** The log, counting handshakes and re-attestations on the way. */
export function countEvents(log: Log, metrics: Metrics): Log {
  return {
    event(level, event, fields) {
      if (event === "channel.accepted") metrics.handshake("accepted");
      else if (event === "channel.refused") metrics.handshake("refused");
      else if (event === "channel.reattested") metrics.rekey("reattestation");
      else if (event === "broker.released") metrics.keyRelease("accepted");
      else if (event === "broker.refused") metrics.keyRelease("refused");
      log.event(level, event, fields);
    },
  };
}

function measureLoop(registry: Registry): IntervalHistogram {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  new Gauge({
    name: "vivarium_event_loop_lag_seconds",
    help: "Mean delay of the event loop since the last scrape.",
    registers: [registry],
    collect() {
      this.set(Number.isFinite(delay.mean) ? delay.mean / 1e9 : 0);
      delay.reset();
    },
  });
  return delay;
}

function known(values: readonly string[], value: string): string {
  return values.includes(value) ? value : "other";
}

function token(value: string): string {
  return /^[\w.:+-]{1,128}$/.test(value) ? value : "other";
}
