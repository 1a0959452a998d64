// Runs clients/agent.py and clients/agent.mjs as processes and collects what they report.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import { waitFor } from './server.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const COMMANDS = {
  python: [join(here, '.venv', 'bin', 'python'), join(here, 'clients', 'agent.py')],
  node: [process.execPath, join(here, 'clients', 'agent.mjs')],
};

/// `kind` is 'python' or 'node'; options: tone (Hz), color ([r, g, b]).
export async function startAgent(kind, url, jwt, { tone, color } = {}) {
  const [program, script] = COMMANDS[kind];
  const args = [script, url, jwt];
  if (tone) args.push('--tone', String(tone));
  if (color) args.push('--color', color.join(','));
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const reports = [];
  let stderr = '';
  let exited = null;
  child.stderr.on('data', (chunk) => (stderr = (stderr + chunk).slice(-4000)));
  child.on('exit', (code, signal) => (exited = { code, signal }));
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) reports.push(JSON.parse(line));
  });
  const reported = (test, what, timeout = 15_000) =>
    waitFor(() => {
      const found = reports.find(test);
      if (!found && exited) throw new Error(`${kind} agent ended (${JSON.stringify(exited)}) before ${what}: ${stderr}`);
      return found;
    }, { what: `${kind}: ${what}; stderr: ${stderr}`, timeout });
  await reported((r) => r.kind === 'connected', 'connected');
  return {
    reports,
    reported,
    send: (order) => child.stdin.write(`${JSON.stringify(order)}\n`),
    hears: (identity, hz, timeout) => reported((r) => r.kind === 'audio' && r.identity === identity && Math.abs(r.hz - hz) < 8 && r.level > 500, `hearing ${hz} Hz from ${identity}`, timeout),
    sees: (identity, rgb, timeout) => reported((r) => r.kind === 'video' && r.identity === identity && r.rgb.every((v, i) => Math.abs(v - rgb[i]) < 30), `seeing ${rgb} from ${identity}`, timeout),
    gets: (identity, text, timeout) => reported((r) => r.kind === 'data' && r.identity === identity && r.text === text, `data "${text}" from ${identity}`, timeout),
    async quit() {
      if (!exited) child.stdin.write('{"cmd":"quit"}\n');
      await waitFor(() => exited, { what: `${kind} agent to quit`, timeout: 10_000 }).catch((error) => {
        child.kill('SIGKILL');
        throw error;
      });
    },
  };
}
