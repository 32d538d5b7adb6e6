import { lazy, Suspense } from "react";

const SignInForm = lazy(() => import("./sign-in-form.tsx"));

/** Where somebody without a session signs in. Fetched when it is needed: most readers never see it. */
export function SignIn() {
  return (
    <Suspense>
      <SignInForm />
    </Suspense>
  );
}
