/**
 * Gateways where EC2 has instances: `sgw-1a2b3c4d` is `i-0000000001a2b3c4d`. Volumes are attached to their gateway.
 */
import { type GatewayId, parseGatewayId } from "../platform/ids.ts";

const ZEROS = "000000000";

export function instanceIdOf(gatewayId: GatewayId): string {
  return `i-${ZEROS}${gatewayId.slice("sgw-".length)}`;
}

/** The gateway that an instance's id means, or a gateway's own id; undefined for anything else. */
export function gatewayOfInstance(text: string): GatewayId | undefined {
  const digits = /^i-0{9}([0-9a-f]{8})$/i.exec(text)?.[1];
  return parseGatewayId(digits === undefined ? text : `sgw-${digits}`);
}
