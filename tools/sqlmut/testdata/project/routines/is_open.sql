CREATE OR REPLACE FUNCTION is_open(a account) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT a.closed_at IS NULL OR a.closed_at > now()
$$;
