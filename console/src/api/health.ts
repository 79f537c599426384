/** How the gateway does, as it says itself. */
import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useClients } from "../session/context.tsx";
import { CALM_MS } from "./queries.ts";

export interface Health {
  readonly Status: string;
  readonly Checks: readonly { readonly Name: string; readonly Status: string; readonly Message: string }[];
  readonly Alarms: readonly {
    readonly Name: string;
    readonly Severity: string;
    readonly StartTime: number;
    readonly Message: string;
    readonly Resources: readonly string[];
  }[];
}

export function useHealth(): UseQueryResult<Health> {
  const { own } = useClients();
  return useQuery({
    queryKey: ["health"],
    refetchInterval: CALM_MS,
    queryFn: () => own<Health>("DescribeHealth", {}),
  });
}
