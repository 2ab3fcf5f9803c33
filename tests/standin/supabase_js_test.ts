// The real supabase-js against a running gateway; test_supabase_js.py starts both.
import assert from "node:assert/strict";
import { createClient } from "npm:@supabase/supabase-js@2.119.0";

const url = Deno.env.get("SUPABASE_URL")!;
const anonKey = Deno.env.get("ANON_KEY")!;
const serviceKey = Deno.env.get("SERVICE_KEY")!;
const userToken = Deno.env.get("USER_TOKEN")!;

type Client = ReturnType<typeof createClient>;

function client(key: string, vsn: string, token?: string): Client {
  return createClient(url, key, {
    realtime: { vsn: vsn as "1.0.0" | "2.0.0", heartbeatIntervalMs: 500 },
    auth: { persistSession: false, autoRefreshToken: false },
    ...(token ? { accessToken: () => Promise.resolve(token) } : {}),
  });
}

// deno-lint-ignore no-explicit-any
type Heard = any;

function mailbox() {
  const messages: Heard[] = [];
  const waiting: ((message: Heard) => void)[] = [];
  return {
    put(message: Heard) {
      const next = waiting.shift();
      next ? next(message) : messages.push(message);
    },
    get(): Promise<Heard> {
      return messages.length ? Promise.resolve(messages.shift()) : new Promise((resolve) => waiting.push(resolve));
    },
  };
}

async function subscribed(channel: ReturnType<Client["channel"]>): Promise<void> {
  await channel.socket.setAuth(); // as the documentation asks for private channels
  return await new Promise((resolve, reject) =>
    channel.subscribe((status: string, error?: Error) => {
      if (status === "SUBSCRIBED") resolve();
      if (status === "CHANNEL_ERROR" || status === "TIMED_OUT") reject(error ?? new Error(status));
    })
  );
}

// removeAllChannels() and disconnect() look every 150 ms whether the socket has closed.
async function close(...clients: Client[]) {
  await Promise.all(clients.flatMap((each) => each.getChannels().map((channel) => each.removeChannel(channel))));
  clients.forEach((each) => each.realtime.disconnect());
}

function sql(query: string): Promise<Response> {
  return fetch(Deno.env.get("SQL_URL")!, { method: "POST", body: query });
}

// Sockets are closed by the library a moment after disconnect() returns.
const loose = { sanitizeOps: false, sanitizeResources: false };

for (const vsn of ["1.0.0", "2.0.0"]) {
  Deno.test({ name: `${vsn}: a private channel of a user echoes its own broadcast`, ...loose }, async () => {
    const supabase = client(anonKey, vsn, userToken);
    const heard = mailbox();
    const channel = supabase.channel(`room-${vsn}`, { config: { broadcast: { self: true }, private: true } })
      .on("broadcast", { event: "*" }, heard.put);
    await subscribed(channel);
    await channel.send({ type: "broadcast", event: "grüße", payload: { message: "tëst" } });
    const message = await heard.get();
    assert.deepEqual([message.event, message.payload], ["grüße", { message: "tëst" }]);
    assert.equal(supabase.getChannels().length, 1);
    await close(supabase);
  });

  Deno.test({ name: `${vsn}: a refused join tells the reason`, ...loose }, async () => {
    const supabase = client(anonKey, vsn);
    const channel = supabase.channel(`room-${vsn}`, { config: { private: true } });
    await assert.rejects(subscribed(channel), /You do not have permissions to read from this Channel topic/);
    await close(supabase);
  });

  Deno.test({ name: `${vsn}: acknowledged broadcasts answer ok`, ...loose }, async () => {
    const supabase = client(anonKey, vsn);
    const channel = supabase.channel("acked", { config: { broadcast: { ack: true } } });
    await subscribed(channel);
    assert.equal(await channel.send({ type: "broadcast", event: "e", payload: {} }), "ok");
    await close(supabase);
  });

  Deno.test({ name: `${vsn}: httpSend reaches the members without being one`, ...loose }, async () => {
    const [supabase, sender] = [client(anonKey, vsn), client(anonKey, vsn)];
    const heard = mailbox();
    await subscribed(supabase.channel("http room").on("broadcast", { event: "*" }, heard.put));
    const outside = sender.channel("http room");
    assert.deepEqual(await outside.httpSend("by post", { n: 1 }), { success: true });
    const message = await heard.get();
    assert.deepEqual([message.event, message.payload], ["by post", { n: 1 }]);
    await close(supabase, sender);
  });

  Deno.test({ name: `${vsn}: the database broadcasts`, ...loose }, async () => {
    const supabase = client(anonKey, vsn, userToken);
    const heard = mailbox();
    await subscribed(
      supabase.channel(`room-${vsn}`, { config: { private: true } }).on("broadcast", { event: "*" }, heard.put),
    );
    await sql(`select realtime.send('{"n": 1}', 'job', 'room-${vsn}', true)`);
    const message = await heard.get();
    assert.equal(message.payload.n, 1);
    assert.ok(message.meta.id);
    await close(supabase);
  });

  Deno.test({ name: `${vsn}: presence syncs`, ...loose }, async () => {
    const [ann, ben] = [client(anonKey, vsn), client(anonKey, vsn)];
    const joined = mailbox();
    const left = mailbox();
    const watching = ann.channel("lobby", { config: { presence: { key: "ann" } } })
      .on("presence", { event: "join" }, joined.put)
      .on("presence", { event: "leave" }, left.put);
    await subscribed(watching);
    const visiting = ben.channel("lobby", { config: { presence: { key: "ben" } } });
    await subscribed(visiting);
    assert.equal(await visiting.track({ mood: "calm" }), "ok");
    assert.equal((await joined.get()).key, "ben");
    assert.equal((watching.presenceState() as Heard).ben[0].mood, "calm");
    await visiting.untrack();
    assert.equal((await left.get()).key, "ben");
    await close(ann, ben);
  });

  Deno.test({ name: `${vsn}: changes of a table arrive where the filter fits`, ...loose }, async () => {
    const supabase = client(serviceKey, vsn);
    const heard = mailbox();
    const channel = supabase
      .channel("changes", { config: { postgres_changes_options: { wait: true } } } as Heard)
      .on("postgres_changes" as Heard, { event: "*", schema: "public", table: "notes", filter: "n=gt.1" }, heard.put);
    await subscribed(channel);
    await sql("insert into public.notes (n, body) values (1, 'low'), (2, 'high')");
    await sql("update public.notes set body = 'higher' where n = 2");
    const [inserted, updated] = [await heard.get(), await heard.get()];
    assert.deepEqual([inserted.eventType, inserted.new.body], ["INSERT", "high"]);
    assert.deepEqual([updated.eventType, updated.new.body], ["UPDATE", "higher"]);
    await sql("delete from public.notes");
    await close(supabase);
  });
}

Deno.test({ name: "2.0.0: bytes travel as bytes, from clients, by HTTP and out of the database", ...loose }, async () => {
  const supabase = client(serviceKey, "2.0.0");
  const old = client(serviceKey, "1.0.0");
  const heard = mailbox();
  const heardByOld = mailbox();
  const config = { config: { private: true, broadcast: { self: true } } };
  const channel = supabase.channel("bytes", config).on("broadcast", { event: "*" }, heard.put);
  await subscribed(channel);
  await subscribed(old.channel("bytes", config).on("broadcast", { event: "*" }, heardByOld.put));
  await channel.send({ type: "broadcast", event: "socket", payload: new Uint8Array([1, 2, 3]).buffer });
  assert.deepEqual(new Uint8Array((await heard.get()).payload), new Uint8Array([1, 2, 3]));
  await channel.httpSend("http", new Uint8Array([4, 5]).buffer);
  assert.deepEqual(new Uint8Array((await heard.get()).payload), new Uint8Array([4, 5]));
  await sql("select realtime.send_binary('\\x0607', 'sql', 'bytes', true)");
  const fromDatabase = await heard.get();
  assert.deepEqual(new Uint8Array(fromDatabase.payload), new Uint8Array([6, 7]));
  assert.ok(fromDatabase.meta.id);
  await channel.send({ type: "broadcast", event: "json", payload: { n: 8 } });
  assert.deepEqual((await heardByOld.get()).payload, { n: 8 }); // 1.0.0 cannot carry the bytes before
  await close(supabase, old);
});

Deno.test({ name: "storage: upload, list, sign, info, remove", ...loose }, async () => {
  const { storage } = client(serviceKey, "2.0.0");
  assert.equal((await storage.createBucket("js", { public: true })).error, null);
  const bucket = storage.from("js");
  const body = new Blob(["Hello, Storage!"], { type: "text/plain" });
  const uploaded = await bucket.upload("folder/file.txt", body, { upsert: true, metadata: { mood: "calm" } });
  assert.equal(uploaded.data?.path, "folder/file.txt");
  assert.deepEqual((await bucket.list("folder")).data?.map((file: Heard) => file.name), ["file.txt"]);
  assert.equal((await bucket.info("folder/file.txt")).data?.metadata?.mood, "calm");
  assert.deepEqual([(await bucket.exists("folder/file.txt")).data, (await bucket.exists("none")).data], [true, false]);
  assert.equal(await (await bucket.download("folder/file.txt")).data!.text(), "Hello, Storage!");
  const signed = await bucket.createSignedUrl("folder/file.txt", 60);
  assert.equal(await (await fetch(signed.data!.signedUrl)).text(), "Hello, Storage!");
  const upload = await bucket.createSignedUploadUrl("in.txt");
  const put = await bucket.uploadToSignedUrl("in.txt", upload.data!.token, body);
  assert.equal(put.error, null);
  assert.equal(await (await fetch(bucket.getPublicUrl("in.txt").data.publicUrl)).text(), "Hello, Storage!");
  assert.equal((await bucket.copy("in.txt", "copy.txt")).data?.path, "js/copy.txt");
  assert.equal((await bucket.move("copy.txt", "moved.txt")).error, null);
  assert.equal((await bucket.remove(["folder/file.txt", "in.txt", "moved.txt"])).data?.length, 3);
  const refused = await bucket.upload("../escape.txt", body);
  assert.ok(refused.error);
  assert.equal((await storage.deleteBucket("js")).error, null);
});
