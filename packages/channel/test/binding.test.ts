/** Every field of a binding stops one attack: drop a field from the source and its test here fails. */
import { encodeStatement, statementDigest } from "@vivarium/attestation";
import { toHex } from "@vivarium/core";
import { describe, expect, test } from "vitest";
import {
  type BindingInput,
  exporterLabel,
  helloDigest,
  nonceContext,
  type RebindingInput,
  renewedBinding,
  sessionBinding,
} from "../src/handshake/binding.ts";
import { statementHash } from "../src/handshake/handshake.ts";
import { codeOf, crypto, endpoint, meet, pair, rulesOf } from "./party.ts";

const bytes = (fill: number, length = 32) => new Uint8Array(length).fill(fill);

const input: BindingInput = {
  mode: "mutual",
  role: "client",
  clientKey: bytes(1, 91),
  serverKey: bytes(2, 91),
  exporter: bytes(3),
  clientHello: bytes(4),
  serverHello: bytes(5),
  statement: bytes(6),
};

/** One other value for each field. */
const others: { readonly [Field in keyof BindingInput]: BindingInput[Field] } = {
  mode: "client-verifies-server",
  role: "server",
  clientKey: bytes(9, 91),
  serverKey: bytes(9, 91),
  exporter: bytes(9),
  clientHello: bytes(9),
  serverHello: bytes(9),
  statement: bytes(9),
};
const fields = Object.keys(others) as (keyof BindingInput)[];

test("golden vectors: computed apart from the code, with SHA-512 over the written-out list", async () => {
  expect(toHex(await sessionBinding(crypto, input))).toMatchInlineSnapshot(
    `"da10dad5e7662cf7496874361f6a8d9c296713bdc66063902cafbb2c43832389bbbb0aa6f38b7b788a0f9b21ae172c7bc2cf6896b0aba32a126b223409fe1330"`,
  );
  expect(toHex(await sessionBinding(crypto, { ...input, role: "server" }))).toMatchInlineSnapshot(
    `"6841aa0167a30c1584d4331d3ed4010ec327f9ee62567c78af4ec0e44e6e74f68dc4e8e49b8e364a45184f31f11338c3db9a656e5dda27ccd47d829d96919a73"`,
  );
  expect(toHex(await renewedBinding(crypto, rebinding))).toMatchInlineSnapshot(
    `"a1511679b7b091dce8b5fc14d47fe9a1dc09a4647fbca844cfb1fe4b036dfb58c206dcd9b6b5ba66015ead13bdfbabff17ad83655dc7fdfbbb60cceb94bde3d3"`,
  );
  expect(toHex(await helloDigest(crypto, bytes(7, 3)))).toMatchInlineSnapshot(
    `"defec24c77d00ad304d5a8991667a6b8a77a46eb1f48fdbc1fda5109d3c2c726"`,
  );
  expect(toHex(await nonceContext(crypto, bytes(1), bytes(2)))).toMatchInlineSnapshot(
    `"2415b31ff1ff38e2f950ea3f2ce7be77045e9549d999fd1b3d3fb452ecac0100"`,
  );
});

describe("the session binding covers", () => {
  for (const field of fields) {
    test(`${field}`, async () => {
      const other = { ...input, [field]: others[field] };
      expect(await sessionBinding(crypto, other)).not.toEqual(await sessionBinding(crypto, input));
    });
  }

  test("the order of the two keys", async () => {
    const swapped = { ...input, clientKey: input.serverKey, serverKey: input.clientKey };
    expect(await sessionBinding(crypto, swapped)).not.toEqual(await sessionBinding(crypto, input));
  });

  test("the order of the two Hellos", async () => {
    const swapped = {
      ...input,
      clientHello: input.serverHello,
      serverHello: input.clientHello,
    };
    expect(await sessionBinding(crypto, swapped)).not.toEqual(await sessionBinding(crypto, input));
  });
});

describe("a peer whose binding differs is refused when it differs in", () => {
  for (const field of fields) {
    test(`${field}`, async () => {
      const { client, server } = await pair();
      const tampered = endpoint(
        server,
        {},
        {
          binder: (c, given) => sessionBinding(c, { ...given, [field]: forged(field, given) }),
        },
      );
      const outcome = await meet(client, server, { server: tampered });
      expect([codeOf(outcome.client), codeOf(outcome.server)]).not.toContain("open");
      expect(rulesOf(outcome.client)).toEqual(["identity.signature"]);
    });
  }

  test("the evidence alone, though the identity is right", async () => {
    const { client, server } = await pair();
    const attester = {
      ...server.attester,
      collect: (data: Uint8Array) => server.attester.collect(data.map((byte) => byte ^ 1)),
    };
    const outcome = await meet(client, server, { server: endpoint(server, { attester }) });
    expect(codeOf(outcome.client)).toBe("refused");
    expect(rulesOf(outcome.client)).toContain("report-data");
    expect(codeOf(outcome.server)).toBe("peer-refused");
  });
});

function forged(field: keyof BindingInput, given: BindingInput): unknown {
  if (field === "role") return given.role === "client" ? "server" : "client";
  return others[field];
}

const rebinding: RebindingInput = {
  role: "client",
  epoch: 1,
  previous: bytes(1, 64),
  exporter: bytes(2),
  statement: bytes(3),
};

describe("the binding of a re-attestation covers", () => {
  const changes: { readonly [Field in keyof RebindingInput]: RebindingInput[Field] } = {
    role: "server",
    epoch: 2,
    previous: bytes(9, 64),
    exporter: bytes(9),
    statement: bytes(9),
  };
  for (const field of Object.keys(changes) as (keyof RebindingInput)[]) {
    test(`${field}`, async () => {
      const other = { ...rebinding, [field]: changes[field] };
      expect(await renewedBinding(crypto, other)).not.toEqual(
        await renewedBinding(crypto, rebinding),
      );
    });
  }

  test("both nonces, in their order", async () => {
    const all = await Promise.all([
      nonceContext(crypto, bytes(1), bytes(2)),
      nonceContext(crypto, bytes(2), bytes(1)),
      nonceContext(crypto, bytes(1), bytes(1)),
    ]);
    expect(new Set(all.map(toHex)).size).toBe(3);
  });
});

test("session and renewal, client and server have labels of their own", async () => {
  expect(exporterLabel("client")).not.toBe(exporterLabel("server"));
});

test("the digest of a received statement is the digest of the statement", async () => {
  const { client } = await pair();
  const { statement } = client;
  expect(toHex(await statementHash(crypto, encodeStatement(statement)))).toBe(
    toHex(await statementDigest(crypto, statement)),
  );
});
