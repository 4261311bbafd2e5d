/**
 * Counters of each served model in Prometheus' exposition format, version 0.0.4, under the names that Triton's
 * dashboards ask for. Source: Triton Inference Server, docs/user_guide/metrics.md. No label holds anything of a
 * request: names and versions are the repository's, so that clients can neither grow the list nor be seen in it.
 */
import type { ModelStats } from "../core.ts";

export const metricsType = "text/plain; version=0.0.4; charset=utf-8";

const families: readonly (readonly [
  name: string,
  kind: "counter" | "gauge",
  help: string,
  read: (stats: ModelStats) => number,
])[] = [
  ["nv_inference_request_success", "counter", "Requests answered.", (stats) => stats.success],
  ["nv_inference_request_failure", "counter", "Requests refused.", (stats) => stats.failure],
  ["nv_inference_count", "counter", "Rows answered.", (stats) => stats.rows],
  ["nv_inference_exec_count", "counter", "Runs of the model.", (stats) => stats.executions],
  ["nv_inference_pending_request_count", "gauge", "Requests waiting.", (stats) => stats.waiting],
];

export function renderMetrics(models: readonly ModelStats[]): string {
  const lines = families.flatMap(([name, kind, help, read]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${kind}`,
    ...models.map(
      (stats) => `${name}{model="${stats.name}",version="${stats.version}"} ${read(stats)}`,
    ),
  ]);
  return `${lines.join("\n")}\n`;
}
