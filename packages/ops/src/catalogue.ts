/**
 * The closed catalogue of log events. A log leaves the trust domain, so it says only what stands
 * here: a name, its fields, and for each field what kind of value it may hold. Adding an event is a
 * change of this file, which reviewers and the measured code see.
 */
import type { LogLevel } from "@vivarium/core";

/**
 * - `id`: a name, code or digest: letters, digits and `. : / + = _ -`, at most 128 characters.
 * - `count`: a finite number.
 * - `text`: a message or value for people, at most 512 characters.
 * - `output`: what a worker printed; dropped unless the log is asked to keep it.
 */
export type FieldKind = "id" | "count" | "text" | "output";

export interface EventEntry {
  /** The levels it is reported at, the usual one first. */
  readonly levels: readonly [LogLevel, ...LogLevel[]];
  readonly fields: Readonly<Record<string, FieldKind>>;
  /** One line for operators. */
  readonly meaning: { readonly en: string; readonly zh: string };
}

/** Every event that a log may hold, by name. */
export const eventCatalogue: Readonly<Record<string, EventEntry>> = {
  "channel.accepted": {
    levels: ["info"],
    fields: { channel: "id", peer: "id", tee: "id", isolation: "id" },
    meaning: {
      en: "Both sides accepted each other's evidence; a channel exists.",
      zh: "双方均接受对方的证据，信道已建立。",
    },
  },
  "channel.refused": {
    levels: ["warn"],
    fields: { code: "id", message: "text" },
    meaning: {
      en: "A handshake ended without a channel; the findings before it say why.",
      zh: "握手结束，未建立信道；之前的检查结果说明原因。",
    },
  },
  "channel.finding": {
    levels: ["warn"],
    fields: { channel: "id", rule: "text", expected: "text", actual: "text" },
    meaning: {
      en: "A rule that the peer's evidence or identity did not meet.",
      zh: "对方的证据或身份未满足的一条规则。",
    },
  },
  "channel.closed": {
    levels: ["info", "warn"],
    fields: { channel: "id", code: "id" },
    meaning: {
      en: "A channel ended; a warning if not by agreement.",
      zh: "信道已关闭；非正常关闭时为警告。",
    },
  },
  "channel.reattested": {
    levels: ["info"],
    fields: { channel: "id", tee: "id" },
    meaning: {
      en: "The peer proved itself again on an open channel.",
      zh: "对方在已建立的信道上重新通过证明。",
    },
  },
  "channel.reattestation-failed": {
    levels: ["warn"],
    fields: { channel: "id", code: "id" },
    meaning: {
      en: "A re-attestation failed; the channel's lifetime is not extended.",
      zh: "重新证明失败；信道有效期不会延长。",
    },
  },
  "channel.reattestation-unavailable": {
    levels: ["warn"],
    fields: { epoch: "count" },
    meaning: {
      en: "Our own attester could not answer the peer's request to attest again.",
      zh: "本方证明器无法响应对方的重新证明请求。",
    },
  },
  "channel.connection-refused": {
    levels: ["warn"],
    fields: { reason: "text" },
    meaning: {
      en: "A connection was dropped before any handshake: TLS parameters or a limit.",
      zh: "连接在握手前被丢弃：TLS 参数不符或超出限制。",
    },
  },
  "channel.listener-failed": {
    levels: ["error"],
    fields: {},
    meaning: { en: "The listening socket failed.", zh: "监听套接字出错。" },
  },
  "worker.ready": {
    levels: ["info"],
    fields: { role: "id" },
    meaning: {
      en: "A measured worker has started and reported its keys.",
      zh: "已度量的工作进程启动并报告其密钥。",
    },
  },
  "worker.running": {
    levels: ["info"],
    fields: { role: "id" },
    meaning: { en: "A worker runs its task.", zh: "工作进程正在执行任务。" },
  },
  "worker.draining": {
    levels: ["info"],
    fields: { role: "id" },
    meaning: {
      en: "A worker admits no more work and finishes what runs.",
      zh: "工作进程不再接受新任务，正在完成已有任务。",
    },
  },
  "worker.exited": {
    levels: ["info"],
    fields: { role: "id" },
    meaning: { en: "A worker process has ended.", zh: "工作进程已退出。" },
  },
  "worker.refused": {
    levels: ["error"],
    fields: { role: "id", reason: "text" },
    meaning: {
      en: "A worker broke the launcher's protocol or limits and is killed.",
      zh: "工作进程违反启动器的协议或限制，已被终止。",
    },
  },
  "worker.delegation-failed": {
    levels: ["error"],
    fields: { role: "id" },
    meaning: {
      en: "The worker's delegation could not be renewed; its channels will expire.",
      zh: "无法续签工作进程的委托；其信道将会过期。",
    },
  },
  "worker.output-dropped": {
    levels: ["warn"],
    fields: { role: "id", lines: "count" },
    meaning: {
      en: "A worker printed more lines a second than are kept.",
      zh: "工作进程每秒输出行数超限，多余部分已丢弃。",
    },
  },
  "worker.stdout": {
    levels: ["info"],
    fields: { role: "id", line: "output" },
    meaning: {
      en: "A line that a worker printed; kept only where asked for.",
      zh: "工作进程的一行标准输出；仅在明确要求时保留。",
    },
  },
  "worker.stderr": {
    levels: ["info"],
    fields: { role: "id", line: "output" },
    meaning: {
      en: "A line that a worker printed to standard error; kept only where asked for.",
      zh: "工作进程的一行标准错误输出；仅在明确要求时保留。",
    },
  },
  "broker.attested": {
    levels: ["info"],
    fields: { tee: "id" },
    meaning: {
      en: "An instance has shown genuine, fresh evidence; nothing has been released yet.",
      zh: "某实例已出示真实且新鲜的证据；尚未发放任何密钥。",
    },
  },
  "broker.attestation-refused": {
    levels: ["warn"],
    fields: { code: "id" },
    meaning: {
      en: "Evidence that an instance showed to the broker did not verify.",
      zh: "实例向密钥代理出示的证据未通过验证。",
    },
  },
  "broker.released": {
    levels: ["info"],
    fields: { resource: "id", tee: "id" },
    meaning: {
      en: "A secret was released; the audit log says to which key.",
      zh: "已发放密钥；接收方公钥见审计日志。",
    },
  },
  "broker.refused": {
    levels: ["warn"],
    fields: { resource: "id", tee: "id" },
    meaning: {
      en: "A resource's policy refused a release; the audit log says why.",
      zh: "资源策略拒绝发放；原因见审计日志。",
    },
  },
  "broker.limited": {
    levels: ["warn"],
    fields: { limit: "id" },
    meaning: {
      en: "A request was turned away by a limit of the broker.",
      zh: "请求因密钥代理的限额而被拒绝。",
    },
  },
  "broker.failed": {
    levels: ["error"],
    fields: { code: "id" },
    meaning: {
      en: "The broker could not answer; without its audit log it releases nothing.",
      zh: "密钥代理无法应答；没有审计日志时不发放任何密钥。",
    },
  },
};
