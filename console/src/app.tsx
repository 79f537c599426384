import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type ReactNode, useCallback, useEffect, useMemo, useState } from "react";
import { RouterProvider } from "react-router";
import { isSignedOut } from "./api/clients.ts";
import { SignInPage } from "./pages/sign-in-page.tsx";
import { NoticesProvider } from "./parts/notices.tsx";
import { SignInAgain } from "./parts/sign-in-again.tsx";
import { makeRouter } from "./router.tsx";
import { SessionProvider } from "./session/context.tsx";
import { forgetSession, keepSession, readSession, type Session } from "./session/session.ts";
import type { Settings } from "./session/sign-in.ts";

const RETRIES = 1;
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The sign-in page, or the console for whoever is signed in. */
export function App({ settings }: { settings: Settings }): ReactNode {
  const [session, setSession] = useState<Session | undefined>(readSession);
  const [hasEnded, setEnded] = useState(false);
  const signOut = useCallback(() => {
    forgetSession();
    setEnded(false);
    setSession(undefined);
  }, []);
  const sessionEnded = useCallback(() => {
    forgetSession();
    setEnded(true);
  }, []);

  useEffect(() => {
    if (session === undefined) return;
    const restMs = session.expiresAtMs - session.clockOffsetMs - Date.now();
    const timer = setTimeout(sessionEnded, Math.min(Math.max(restMs, 0), TIMER_MS_MAX));
    return () => clearTimeout(timer);
  }, [session, sessionEnded]);

  const signedIn = (made: Session) => {
    keepSession(made);
    setEnded(false);
    setSession(made);
  };
  if (session === undefined) return <SignInPage settings={settings} onSignedIn={signedIn} />;
  return (
    <>
      {/* Whoever signs in again with the same key finds the page as it was; another one begins anew. */}
      <Console
        key={session.signedInAs}
        session={session}
        settings={settings}
        signOut={signOut}
        sessionEnded={sessionEnded}
      />
      {hasEnded && <SignInAgain settings={settings} onSignedIn={signedIn} onLeave={signOut} />}
    </>
  );
}

function Console(props: {
  session: Session;
  settings: Settings;
  signOut: () => void;
  sessionEnded: () => void;
}): ReactNode {
  const { session } = props;
  const router = useMemo(makeRouter, []);
  const queryClient = useMemo(
    () =>
      new QueryClient({
        defaultOptions: {
          queries: {
            retry: (failures, error) => failures < RETRIES && !isSignedOut(error),
            refetchOnWindowFocus: true,
            staleTime: 1_000,
          },
        },
      }),
    [],
  );
  // With a new session everything is asked for again: what was refused meanwhile, too.
  const sessionKey = session.accessKeyId;
  const [askedWith, setAskedWith] = useState(sessionKey);
  useEffect(() => {
    if (askedWith === sessionKey) return;
    setAskedWith(sessionKey);
    void queryClient.invalidateQueries();
  }, [askedWith, sessionKey, queryClient]);
  return (
    <QueryClientProvider client={queryClient}>
      <SessionProvider {...props}>
        <NoticesProvider>
          <RouterProvider router={router} />
        </NoticesProvider>
      </SessionProvider>
    </QueryClientProvider>
  );
}
