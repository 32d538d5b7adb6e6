import { needsSignIn, SignIn } from "../identity/sign-in.tsx";

/** What stands where something could not be read: a way to sign in, or why, and a way on. */
export function Unreadable({ failure }: { failure: unknown }) {
  if (needsSignIn(failure)) return <SignIn />;
  return (
    <>
      <p className="failure" role="alert">
        {failure instanceof Error ? failure.message : String(failure)}
      </p>
      <p>
        <a href="/">All runs</a>
      </p>
    </>
  );
}
