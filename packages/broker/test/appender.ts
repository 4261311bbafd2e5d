/** Appends to a log until it is killed, and says each entry that has been acknowledged. */

import { utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { openAuditLog } from "../src/audit/log.ts";
import { directoryStore, lockDirectory } from "../src/audit/store.ts";

const [directory = "", pkcs8 = "", batch = "1"] = process.argv.slice(2);
const crypto = nodeCrypto();
const signer = await crypto.importSigner("EdDSA", Buffer.from(pkcs8, "base64"));
await lockDirectory(directory);
const store = directoryStore(directory);
const log = await openAuditLog({ store, name: "test/log", signer, crypto, create: true });
for (;;) {
  await Promise.all(
    Array.from({ length: Number(batch) }, async () => {
      const entry = `entry ${process.pid} ${Math.random()}`;
      const { index } = await log.append(utf8(entry));
      process.stdout.write(`${index} ${entry}\n`);
    }),
  );
}
