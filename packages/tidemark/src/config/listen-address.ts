/** Where something listens or is reached. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const FORM = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):(\d{1,5})$/;

/** Reads `host:port`, `[v6]:port`, or a port alone (of 127.0.0.1). Undefined when it is none, or the port is not 1 to 65535. */
export function parseAddress(value: string | number): ListenAddress | undefined {
  const text = typeof value === "number" ? `127.0.0.1:${value}` : value;
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? "", port };
}

/** Whether only this machine reaches the host. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host.startsWith("127.");
}

/** Whether the host stands for every address of the machine. */
function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "*";
}

/** Whether two listeners of these addresses would collide on one machine. */
export function collide(a: ListenAddress, b: ListenAddress): boolean {
  if (a.port !== b.port) return false;
  return (
    a.host === b.host ||
    isWildcard(a.host) ||
    isWildcard(b.host) ||
    (isLoopback(a.host) && isLoopback(b.host) && (a.host === "localhost" || b.host === "localhost"))
  );
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress(address: ListenAddress): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
