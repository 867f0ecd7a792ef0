/** Real receivers of notices on loopback: an HTTP server and a mail server that keep what they are given. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';

export type Post = {
  topic: string;
  run: string;
  machine: string | null;
  machines: string[];
  text: string;
  id: string;
};

export type Webhook = AsyncDisposable & {
  url: string;
  posts: Post[];
  /** What it answers with, as long as it is set. */
  answer(status: number): void;
  /** Called with each post before it is answered. */
  onPost(heard: (post: Post) => void): void;
};

export async function startWebhook(port = 0): Promise<Webhook> {
  const posts: Post[] = [];
  let status = 200;
  let heard: (post: Post) => void = () => {};
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const post = JSON.parse(Buffer.concat(chunks).toString()) as Post;
      if (status === 200) posts.push(post);
      heard(post);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/secret`,
    posts,
    answer(next) {
      status = next;
    },
    onPost(listener) {
      heard = listener;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Mailbox = AsyncDisposable & {
  url: string;
  letters: { to: string[]; text: string }[];
  /** How many it said that it took. */
  answered(): number;
};

export async function startMailbox({ refuses = '', thinksMs = 0 } = {}): Promise<Mailbox> {
  const letters: Mailbox['letters'] = [];
  let answers = 0;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo({ address }, _session, done) {
      done(address === refuses ? new Error('no such user here') : null);
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const to = session.envelope.rcptTo.map(({ address }) => address);
        letters.push({ to, text: Buffer.concat(chunks).toString() });
        setTimeout(
          () => {
            answers += 1;
            done();
          },
          letters.length === 1 ? thinksMs : 0,
        );
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.server.address() as AddressInfo;
  return {
    url: `smtp://127.0.0.1:${port}`,
    letters,
    answered: () => answers,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}
