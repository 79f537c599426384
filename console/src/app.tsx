import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type ReactNode, useCallback, useEffect, useMemo, useState } from "react";
import { RouterProvider } from "react-router";
import { isSignedOut } from "./api/clients.ts";
import { SignInPage } from "./pages/sign-in-page.tsx";
import { NoticesProvider } from "./parts/notices.tsx";
import { makeRouter } from "./router.tsx";
import { SessionProvider } from "./session/context.tsx";
import { forgetSession, keepSession, readSession, type Session } from "./session/session.ts";
import type { Settings } from "./session/sign-in.ts";

const RETRIES = 1;
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The sign-in page, or the console for whoever is signed in. */
export function App({ settings }: { settings: Settings }): ReactNode {
  const [session, setSession] = useState<Session | undefined>(readSession);
  const [reason, setReason] = useState<string>();
  const signOut = useCallback((why?: string) => {
    forgetSession();
    setReason(why);
    setSession(undefined);
  }, []);

  useEffect(() => {
    if (session === undefined) return;
    const restMs = session.expiresAtMs - session.clockOffsetMs - Date.now();
    const timer = setTimeout(
      () => signOut("The session has ended: sign in again."),
      Math.min(Math.max(restMs, 0), TIMER_MS_MAX),
    );
    return () => clearTimeout(timer);
  }, [session, signOut]);

  if (session === undefined) {
    const signedIn = (made: Session) => {
      keepSession(made);
      setReason(undefined);
      setSession(made);
    };
    return <SignInPage settings={settings} reason={reason} onSignedIn={signedIn} />;
  }
  return <Console key={session.accessKeyId} session={session} settings={settings} signOut={signOut} />;
}

function Console(props: {
  session: Session;
  settings: Settings;
  signOut: (why?: string) => void;
}): ReactNode {
  const { signOut } = props;
  const router = useMemo(makeRouter, []);
  const queryClient = useMemo(
    () =>
      new QueryClient({
        queryCache: new QueryCache({
          onError: (error) => {
            if (isSignedOut(error)) signOut("The session has ended: sign in again.");
          },
        }),
        defaultOptions: {
          queries: {
            retry: (failures, error) => failures < RETRIES && !isSignedOut(error),
            refetchOnWindowFocus: true,
            staleTime: 1_000,
          },
        },
      }),
    [signOut],
  );
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
