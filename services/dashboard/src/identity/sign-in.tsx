import { lazy, Suspense } from "react";

const SignInForm = lazy(() => import("./sign-in-form.tsx"));

/** The sign-in form. Loaded when it is needed: most readers never see it. */
export function SignIn() {
  return (
    <Suspense>
      <SignInForm />
    </Suspense>
  );
}
