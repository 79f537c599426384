import { isIP } from "node:net";
import { invalid } from "../../gateway/errors.ts";

/** A NetworkInterfaceId, which is the address of the gateway as initiators know it. Throws for what is none. */
export function checkedInterface(id: string | undefined): string {
  if (id === undefined || isIP(id) === 0) {
    throw invalid("NetworkInterfaceId: the IP address by which initiators reach the gateway.");
  }
  return id;
}
