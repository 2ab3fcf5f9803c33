// Who calls: the address that the platform's gateway names, else the peer's.
import ipaddr from "ipaddr.js";

/** As some proxies write them: 192.0.2.1:5678, [2001:db8::1]:443. */
const WITH_PORT = /^(?:\[(.+)\]|([0-9.]+))(?::[0-9]+)?$/;

/** The fairness key of a caller: its address, for IPv6 the /64, which is what one customer has. */
export function clientOf(peer: string, forwarded: string | null): string {
  // The last one is what the proxy next to us wrote; whatever stands before may be invented.
  const last = forwarded?.split(",").at(-1)?.trim() ?? "";
  const found = WITH_PORT.exec(last);
  const said = found?.[1] ?? found?.[2] ?? last;
  const text = ipaddr.isValid(said) ? said : peer;
  if (!ipaddr.isValid(text)) return "unknown";
  const address = ipaddr.process(text); // ::ffff:192.0.2.1 is an IPv4 caller
  if (address.kind() === "ipv4") return address.toString();
  return ipaddr.IPv6.networkAddressFromCIDR(`${address.toString()}/64`).toString() + "/64";
}
