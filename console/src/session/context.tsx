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
  signOut(): void;
  /** The gateway has ended it: whoever sits here is asked to sign in again, and the page stays. */
  sessionEnded(): void;
}

const Context = createContext<SignedIn | undefined>(undefined);

export function SessionProvider(props: {
  session: Session;
  settings: Settings;
  signOut: () => void;
  sessionEnded: () => void;
  children: ReactNode;
}): ReactNode {
  const { session, settings, signOut, sessionEnded, children } = props;
  const value = useMemo(
    () => ({
      session,
      settings,
      clients: makeClients(session, sessionEnded),
      canChange: session.role === "admin",
      signOut,
      sessionEnded,
    }),
    [session, settings, signOut, sessionEnded],
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
