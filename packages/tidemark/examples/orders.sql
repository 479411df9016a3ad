-- The table of the example. Run once, when the database is made.
CREATE TABLE orders (
  id uuid PRIMARY KEY,
  customer text NOT NULL,
  amount_cents integer NOT NULL CHECK (amount_cents > 0),
  status text NOT NULL DEFAULT 'placed' CHECK (status IN ('placed', 'cancelled')),
  -- The writer's own reference: the ledger of a test finds the row by it.
  reference text UNIQUE,
  accepted_at timestamptz NOT NULL,
  cancelled_at timestamptz
);

CREATE INDEX orders_customer ON orders (customer);
