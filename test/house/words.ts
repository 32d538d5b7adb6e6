const NOUN = "the noun, such as the worker, the run, the caller";

/**
 * Words and phrases that are not written, and what to write instead. A pattern is a regular expression of whole words in any case;
 * a space in it is any white space.
 */
export const PATTERNS: readonly (readonly [pattern: string, use: string])[] = [
  // Words for which the field has another word.
  ["towns?", "TestEnv"],
  ["barges?", "FakeWorker"],
  ["berths?", "capacity"],
  ["spares?", "warm, preallocated or free"],
  ["dut(?:y|ies)", "periodic job"],
  ["lookouts?", "due timer"],
  ['(?<!["\'.])news(?![":])', "change"],
  ["tied|untie[sd]?", "dependents"],
  ["fates?", "outcome"],
  ["attendances?", "poll cache"],
  ["turnstiles?", "semaphore"],
  ["bells?|latch(?:es)?", "WakeUp"],
  ["salvag(?:e|es|ed|ing)", "bisect"],
  [
    '(?<!"\\s)in line|(?<!log\\s)lines? of (?:runs|slots|waiters)',
    "queue or wait list: a line is a line of a log",
  ],
  ["(?:interface|type) (?:\\w+ )*(?:told|asked)(?= ?[={<])", "the noun that the type describes"],
  // Clauses that stand for a noun.
  ["who(?:m|so)?ever", NOUN],
  ["that which", NOUN],
  ["what (?:it|they) (?:is|are|was|were) told", NOUN],
  ["what is half", "what is incomplete"],
  ["such as it", NOUN],
  ["as may", "the limit by its name"],
  [
    "(?:is|are|was|were|be|been|being) told(?! apart)",
    "who gets what: the worker gets, the page shows, a record has",
  ],
  ["(?:that|which) (?:is|are|was|were) (?:not )?there", "missing, or existing"],
  ["(?:that|this) is so(?= (?:while|if|when|where)|[.;,])", "the condition by its name"],
  // Phrases that a reader must read twice.
  ["so let", "the verb alone"],
  ["be it(?: that)?", "even if"],
  ["for ever", "forever, or without a limit"],
  ["of (?:its|their) own making", "its own"],
  ["(?:is|are|be|been|was|were) passed over", "skipped, or overtaken"],
  ["in the place of|in (?:its|their) place", "instead of, or replaces"],
  ["the more [^.;:|]{1,60} the (?:more|less|longer|fewer)", "a sentence with a subject and a verb"],
  ["no more is no", "a sentence with a subject and a verb"],
  ["as it must", "as expected"],
  ["tells? of", "shows, reports or names"],
  ["ever after", "always, or from then on"],
  ["no oftener", "not more often"],
  ["nobody knows where", "an unknown source"],
  ["lest", "so that … not"],
  ["(?:there|where)(?:in|of|upon)|hence|thence|whence", "a plain sentence"],
];

/** Where such a word stays, and why. */
export const ALLOWED: readonly { path: RegExp; text: RegExp }[] = [
  // The column run.tied keeps its name, since two releases share a database.
  { path: /^services\/control\/src\//, text: /^tied$/ },
  // The icon of notifiers, and the control character.
  { path: /^services\/dashboard\//, text: /^bell$/i },
  // Two values of a statistic are tied.
  { path: /^sdk\/examples\/src\/flights\//, text: /^tied$/ },
];
