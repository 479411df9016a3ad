import type { ErrorEntry } from "../errors.ts";

/** Errors of tidemark.yaml and its loader. */
export const configErrors = {
  "TM-CONFIG-INVALID": {
    meaning: "tidemark.yaml has problems; each is listed with its file, line and column and what was expected there.",
    normal: false,
    retry: "never",
    hint: "Correct the places that are listed; docs/configuration.md describes every key, and `tidemark config validate` checks without starting anything.",
  },
  "TM-CONFIG-NOT-FOUND": {
    meaning: "The configuration file is not there or cannot be read.",
    normal: false,
    retry: "never",
    hint: "Give its path with --config, or run in the folder that has tidemark.yaml.",
  },
  "TM-CONFIG-SYNTAX": {
    meaning: "The file is not valid YAML, or has a key twice.",
    normal: false,
    retry: "never",
    hint: "Look at the line that is named and the one before: indentation, a missing colon, an open quote or bracket.",
  },
  "TM-CONFIG-UNKNOWN-KEY": {
    meaning: "A key is not known at its place. Unknown keys are errors, because a mistyped objective would otherwise be no objective.",
    normal: false,
    retry: "never",
    hint: "Correct the spelling or remove the key; docs/configuration.md lists the keys of each place.",
  },
  "TM-CONFIG-MISSING-KEY": {
    meaning: "A key that has no default is missing.",
    normal: false,
    retry: "never",
    hint: "Add the key; docs/configuration.md says what it means.",
  },
  "TM-CONFIG-VALUE": {
    meaning: "A value is of the wrong type, not among those allowed, or out of range.",
    normal: false,
    retry: "never",
    hint: "Write a value as it was expected.",
  },
  "TM-CONFIG-DURATION": {
    meaning: "A text that should be a duration is none.",
    normal: false,
    retry: "never",
    hint: "Write a number with a unit: ms, s, m, h or d, such as 250ms, 5s or 24h.",
  },
  "TM-CONFIG-SIZE": {
    meaning: "A text that should be a size is none, or the size is out of range.",
    normal: false,
    retry: "never",
    hint: "Write a number with a unit: B, KiB, MiB, GiB, TiB (powers of 1024) or kB, MB, GB, TB (powers of 1000), such as 64MiB.",
  },
  "TM-CONFIG-ADDRESS": {
    meaning: "A text that should be an address is none.",
    normal: false,
    retry: "never",
    hint: "Write host:port, [IPv6]:port, or a port of this machine, such as 127.0.0.1:7400.",
  },
  "TM-CONFIG-UNKNOWN-STORE": {
    meaning: "A service or a command names a store that the file does not have.",
    normal: false,
    retry: "never",
    hint: "Name a store that stands under `stores`, or add it there.",
  },
  "TM-CONFIG-DUPLICATE-PORT": {
    meaning: "Two listeners would use the same address.",
    normal: false,
    retry: "never",
    hint: "Give each gateway, control, agent and PostgreSQL node a port of its own.",
  },
  "TM-CONFIG-KEY-POINTER": {
    meaning: "A command's key points to an argument that its schema does not have, does not require, or that is no text or number.",
    normal: false,
    retry: "never",
    hint: "Point to a required argument of type string, integer or number: every write needs a partition key.",
  },
  "TM-CONFIG-COMMAND-SCHEMA": {
    meaning: "A command's schema is no valid JSON Schema (2020-12) of an object.",
    normal: false,
    retry: "never",
    hint: "Check the keywords; the schema of the arguments has `type: object` and `properties`.",
  },
  "TM-CONFIG-COMMAND-SQL": {
    meaning: "A command's statements are missing, given twice, or cannot be used as they are.",
    normal: false,
    retry: "never",
    hint: "Give either `sql` or `statements`; parameters are arguments of the schema, :id, :accepted_at or :key; volatile functions need `volatile: true`.",
  },
  "TM-CONFIG-REQUIRED-COPIES": {
    meaning: "A store requires more copies than its nodes can hold.",
    normal: false,
    retry: "never",
    hint: "Lower `required` to the number of nodes less one, or add nodes.",
  },
  "TM-CONFIG-SAME-DOMAIN": {
    meaning: "A synchronous copy would lie in the failure domain of the primary, where it does not count (R7).",
    normal: false,
    retry: "never",
    hint: "Put the nodes in different domains, state their domains, or ask for less in the objective.",
  },
  "TM-CONFIG-OBJECTIVE": {
    meaning: "Objectives contradict each other, or the store's settings contradict them.",
    normal: false,
    retry: "never",
    hint: "A larger accident cannot lose less, or end sooner, than a smaller one that it contains; a policy cannot allow more loss than the objective.",
  },
  "TM-CONFIG-DURABILITY": {
    meaning: "An objective demands more failure domains than the journal has, and writes would be acknowledged too early (R16).",
    normal: false,
    retry: "never",
    hint: "Acknowledge when applied (`acknowledge: applied`) with copies in other domains, or ask for less in the objective.",
  },
  "TM-CONFIG-SETTING": {
    meaning: "A PostgreSQL setting is Tidemark's own: another value would break a promise.",
    normal: false,
    retry: "never",
    hint: "Remove the setting; Tidemark sets it from the keys of the store.",
  },
  "TM-CONFIG-FILE": {
    meaning: "A file that the configuration names is not there.",
    normal: false,
    retry: "never",
    hint: "Paths are relative to the folder of tidemark.yaml; correct the path or make the file.",
  },
  "TM-CONFIG-COPY-SOURCE": {
    meaning: "A copy that is looked at has no source, or more than one.",
    normal: false,
    retry: "never",
    hint: "Give each copy exactly one of postgresql, patroni, pgbackrest, barman, nats, objects, prometheus and command; a second source is a copy of its own.",
  },
  "TM-CONFIG-NO-COPY": {
    meaning: "A service uses a store of which nothing that is looked at can be a copy, so that every exposure would be unknown.",
    normal: false,
    retry: "never",
    hint: "Add what the store can be recovered from under its `copies`: its PostgreSQL servers, a repository of backups, objects.",
  },
  "TM-CONFIG-UNKNOWN-RULE": {
    meaning: "Settings are given for a rule that does not exist.",
    normal: false,
    retry: "never",
    hint: "docs/alerts.md lists the rules; correct the name.",
  },
  "TM-CONFIG-SECRET": {
    meaning:
      "A password, a token or an address with credentials stands in tidemark.yaml. Every role reads that file, and it is copied and kept in version control.",
    normal: false,
    retry: "never",
    hint: "Put the secret into a file of mode 0600, name the file (passwordFile, bearerFile, urlFile, keyFile), and change the secret if the configuration was seen by others.",
  },
  "TM-CONFIG-OPEN-LINE": {
    meaning: "A token, or what is told of weak places, would go to another machine over plain HTTP.",
    normal: false,
    retry: "never",
    hint: "Use an https:// address, or a loopback address with a proxy or tunnel behind it.",
  },
  "TM-CONFIG-PUBLIC": {
    meaning: "The gateway would listen on an address that other machines reach, without a token or without TLS.",
    normal: false,
    retry: "never",
    hint: "Add what is missing under gateway.tokens or gateway.tls, or listen on 127.0.0.1; a proxy that ends TLS can run on the same machine.",
  },
} satisfies Record<string, ErrorEntry>;
