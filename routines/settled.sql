CREATE OR REPLACE FUNCTION settled(verdict outcome) RETURNS outcome
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
AS $$
BEGIN
    -- A commit waits for the synchronous standby only if it has written something.
    IF current_setting('synchronous_standby_names') <> '' THEN
        PERFORM pg_logical_emit_message(true, 'oauthdb', '');
    END IF;
    RETURN verdict;
END
$$;

COMMENT ON FUNCTION settled(outcome) IS 'Returns the verdict of a call that has found its work done. Where there is a synchronous standby, the commit then waits until the standby has everything up to here, and so what was found. It may lack that if the wait of the call that did the work was cancelled.';
