-- Where an order belongs in a trace: it is told to the order system later, by whoever finds its row. Both are null for orders
-- that came without one.
alter table order_syncs
  add column traceparent text,
  add column tracestate  text;
