/** A port that is taken is said before anything is made, in words that help. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { systemClock } from "./platform/clock.ts";
import { checkListen, ListenError } from "./server-portal.ts";

test("an address that is taken, or is no address of this machine, is refused with advice", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const taken = checkListen("iscsi", { host: "127.0.0.1", port }, systemClock);
  await assert.rejects(taken, (error) => {
    assert(error instanceof ListenError);
    assert.match(error.message, /--iscsi.*EADDRINUSE.*ss -ltnp/);
    return true;
  });
  const elsewhere = checkListen("listen", { host: "192.0.2.1", port }, systemClock);
  await assert.rejects(elsewhere, /--listen.*EADDRNOTAVAIL.*ip addr/);
  server.close();
  await once(server, "close");
});

test("one that is given free in the meantime is waited for", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const checked = checkListen("iscsi", { host: "127.0.0.1", port }, systemClock);
  server.close();
  await checked;
});
