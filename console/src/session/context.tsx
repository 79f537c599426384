/** The session and its clients, for every page. */
import { createContext, type ReactNode, useContext, useMemo } from "react";
import { type Clients, makeClients } from "../api/clients.ts";
import type { Session } from "./session.ts";
import type { Settings } from "./sign-in.ts";

interface SignedIn {
  readonly session: Session;
  readonly settings: Settings;
  readonly clients: Clients;
  /** Whether the key may change things. */
  readonly canChange: boolean;
  /** Ends the session. */
  signOut(reason?: string): void;
}

const Context = createContext<SignedIn | undefined>(undefined);

export function SessionProvider(props: {
  session: Session;
  settings: Settings;
  signOut: (reason?: string) => void;
  children: ReactNode;
}): ReactNode {
  const { session, settings, signOut, children } = props;
  const value = useMemo(
    () => ({
      session,
      settings,
      clients: makeClients(session),
      canChange: session.role === "admin",
      signOut,
    }),
    [session, settings, signOut],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useSignedIn(): SignedIn {
  const value = useContext(Context);
  if (value === undefined) throw new Error("useSignedIn outside of SessionProvider");
  return value;
}

export function useClients(): Clients {
  return useSignedIn().clients;
}
