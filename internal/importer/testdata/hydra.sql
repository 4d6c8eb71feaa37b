-- Tables of Ory Hydra v2.3.0, as it has made and filled them: make hydra DUMP=1 writes them.
CREATE TABLE public.hydra_client (
    id character varying(255) NOT NULL,
    client_name text NOT NULL,
    client_secret text NOT NULL,
    scope text NOT NULL,
    owner text NOT NULL,
    policy_uri text NOT NULL,
    tos_uri text NOT NULL,
    client_uri text NOT NULL,
    logo_uri text NOT NULL,
    client_secret_expires_at integer DEFAULT 0 NOT NULL,
    sector_identifier_uri text NOT NULL,
    jwks text NOT NULL,
    jwks_uri text NOT NULL,
    token_endpoint_auth_method character varying(25) DEFAULT ''::character varying NOT NULL,
    request_object_signing_alg character varying(10) DEFAULT ''::character varying NOT NULL,
    userinfo_signed_response_alg character varying(10) DEFAULT ''::character varying NOT NULL,
    subject_type character varying(15) DEFAULT ''::character varying NOT NULL,
    pk_deprecated integer NOT NULL,
    created_at timestamp without time zone DEFAULT now() NOT NULL,
    updated_at timestamp without time zone DEFAULT now() NOT NULL,
    frontchannel_logout_uri text DEFAULT ''::text NOT NULL,
    frontchannel_logout_session_required boolean DEFAULT false NOT NULL,
    backchannel_logout_uri text DEFAULT ''::text NOT NULL,
    backchannel_logout_session_required boolean DEFAULT false NOT NULL,
    metadata text NOT NULL,
    token_endpoint_auth_signing_alg character varying(10) DEFAULT ''::character varying NOT NULL,
    authorization_code_grant_access_token_lifespan bigint,
    authorization_code_grant_id_token_lifespan bigint,
    authorization_code_grant_refresh_token_lifespan bigint,
    client_credentials_grant_access_token_lifespan bigint,
    implicit_grant_access_token_lifespan bigint,
    implicit_grant_id_token_lifespan bigint,
    jwt_bearer_grant_access_token_lifespan bigint,
    password_grant_access_token_lifespan bigint,
    password_grant_refresh_token_lifespan bigint,
    refresh_token_grant_id_token_lifespan bigint,
    refresh_token_grant_access_token_lifespan bigint,
    refresh_token_grant_refresh_token_lifespan bigint,
    pk uuid,
    registration_access_token_signature character varying(128) DEFAULT ''::character varying NOT NULL,
    nid uuid NOT NULL,
    redirect_uris jsonb NOT NULL,
    grant_types jsonb NOT NULL,
    response_types jsonb NOT NULL,
    audience jsonb NOT NULL,
    allowed_cors_origins jsonb NOT NULL,
    contacts jsonb NOT NULL,
    request_uris jsonb NOT NULL,
    post_logout_redirect_uris jsonb DEFAULT '[]'::jsonb NOT NULL,
    access_token_strategy character varying(10) DEFAULT ''::character varying NOT NULL,
    skip_consent boolean DEFAULT false NOT NULL,
    skip_logout_consent boolean
);
CREATE SEQUENCE public.hydra_client_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hydra_client_pk_seq OWNED BY public.hydra_client.pk_deprecated;
CREATE TABLE public.hydra_oauth2_flow (
    login_challenge character varying(40) NOT NULL,
    login_verifier character varying(40) NOT NULL,
    login_csrf character varying(40) NOT NULL,
    subject character varying(255) NOT NULL,
    request_url text NOT NULL,
    login_skip boolean NOT NULL,
    client_id character varying(255) NOT NULL,
    requested_at timestamp without time zone DEFAULT now() NOT NULL,
    login_initialized_at timestamp without time zone,
    oidc_context jsonb DEFAULT '{}'::jsonb NOT NULL,
    login_session_id character varying(40),
    state integer NOT NULL,
    login_remember boolean DEFAULT false NOT NULL,
    login_remember_for integer NOT NULL,
    login_error text,
    acr text DEFAULT ''::text NOT NULL,
    login_authenticated_at timestamp without time zone,
    login_was_used boolean DEFAULT false NOT NULL,
    forced_subject_identifier character varying(255) DEFAULT ''::character varying NOT NULL,
    context jsonb DEFAULT '{}'::jsonb NOT NULL,
    consent_challenge_id character varying(40),
    consent_skip boolean DEFAULT false NOT NULL,
    consent_verifier character varying(40),
    consent_csrf character varying(40),
    consent_remember boolean DEFAULT false NOT NULL,
    consent_remember_for integer,
    consent_handled_at timestamp without time zone,
    consent_error text,
    session_access_token jsonb DEFAULT '{}'::jsonb NOT NULL,
    session_id_token jsonb DEFAULT '{}'::jsonb NOT NULL,
    consent_was_used boolean DEFAULT false NOT NULL,
    nid uuid NOT NULL,
    requested_scope jsonb NOT NULL,
    requested_at_audience jsonb DEFAULT '[]'::jsonb,
    amr jsonb DEFAULT '[]'::jsonb,
    granted_scope jsonb,
    granted_at_audience jsonb DEFAULT '[]'::jsonb,
    login_extend_session_lifespan boolean DEFAULT false NOT NULL,
    identity_provider_session_id character varying(40),
    CONSTRAINT hydra_oauth2_flow_check CHECK (((state = 128) OR (state = 129) OR (state = 1) OR ((state = 2) AND ((login_remember IS NOT NULL) AND (login_remember_for IS NOT NULL) AND (login_error IS NOT NULL) AND (acr IS NOT NULL) AND (login_was_used IS NOT NULL) AND (context IS NOT NULL) AND (amr IS NOT NULL))) OR ((state = 3) AND ((login_remember IS NOT NULL) AND (login_remember_for IS NOT NULL) AND (login_error IS NOT NULL) AND (acr IS NOT NULL) AND (login_was_used IS NOT NULL) AND (context IS NOT NULL) AND (amr IS NOT NULL))) OR ((state = 4) AND ((login_remember IS NOT NULL) AND (login_remember_for IS NOT NULL) AND (login_error IS NOT NULL) AND (acr IS NOT NULL) AND (login_was_used IS NOT NULL) AND (context IS NOT NULL) AND (amr IS NOT NULL) AND (consent_challenge_id IS NOT NULL) AND (consent_verifier IS NOT NULL) AND (consent_skip IS NOT NULL) AND (consent_csrf IS NOT NULL))) OR ((state = 5) AND ((login_remember IS NOT NULL) AND (login_remember_for IS NOT NULL) AND (login_error IS NOT NULL) AND (acr IS NOT NULL) AND (login_was_used IS NOT NULL) AND (context IS NOT NULL) AND (amr IS NOT NULL) AND (consent_challenge_id IS NOT NULL) AND (consent_verifier IS NOT NULL) AND (consent_skip IS NOT NULL) AND (consent_csrf IS NOT NULL))) OR ((state = 6) AND ((login_remember IS NOT NULL) AND (login_remember_for IS NOT NULL) AND (login_error IS NOT NULL) AND (acr IS NOT NULL) AND (login_was_used IS NOT NULL) AND (context IS NOT NULL) AND (amr IS NOT NULL) AND (consent_challenge_id IS NOT NULL) AND (consent_verifier IS NOT NULL) AND (consent_skip IS NOT NULL) AND (consent_csrf IS NOT NULL) AND (granted_scope IS NOT NULL) AND (consent_remember IS NOT NULL) AND (consent_remember_for IS NOT NULL) AND (consent_error IS NOT NULL) AND (session_access_token IS NOT NULL) AND (session_id_token IS NOT NULL) AND (consent_was_used IS NOT NULL)))))
);
CREATE TABLE public.hydra_oauth2_refresh (
    signature character varying(255) NOT NULL,
    request_id character varying(40) NOT NULL,
    requested_at timestamp without time zone DEFAULT now() NOT NULL,
    client_id character varying(255) NOT NULL,
    scope text NOT NULL,
    granted_scope text NOT NULL,
    form_data text NOT NULL,
    session_data text NOT NULL,
    subject character varying(255) DEFAULT ''::character varying NOT NULL,
    active boolean DEFAULT true NOT NULL,
    requested_audience text DEFAULT ''::text,
    granted_audience text DEFAULT ''::text,
    challenge_id character varying(40),
    nid uuid NOT NULL,
    expires_at timestamp without time zone,
    first_used_at timestamp without time zone,
    access_token_signature character varying(255) DEFAULT NULL::character varying
);
CREATE TABLE public.networks (
    id uuid NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);
ALTER TABLE ONLY public.hydra_client ALTER COLUMN pk_deprecated SET DEFAULT nextval('public.hydra_client_pk_seq'::regclass);
INSERT INTO public.hydra_client VALUES ('shop', 'Shop', '$pbkdf2-sha256$i=25000,l=32$NzV3cFqqxxB0ToCXTxKB9g$3GK+lL/e6WYV5cQORAbcZKvJC7CYdbgyHyVJgR55u/g', 'openid offline profile', '', '', '', '', '', 0, '', '{}', '', 'none', '', 'none', 'public', 0, '2026-11-29 23:57:05', '2026-11-29 23:57:05.012019', '', false, '', false, '{}', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'O6vP0h3x4Uh8So1EykkS23zZ_nKdIm0FaWH9sqgRtQ8', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["https://client.example/callback"]', '["authorization_code", "refresh_token"]', '["code"]', '[]', '[]', '[]', '[]', '[]', '', false, NULL);
INSERT INTO public.hydra_client VALUES ('app', '', '$pbkdf2-sha256$i=25000,l=32$+n1OPU6TTFZT7GqE+xzy+A$0lgHHppGaWgE3IjahsMGug0UlH5DCYzjMqVcQWA6jkc', 'openid offline', '', '', '', '', '', 0, '', '{}', '', 'none', '', 'none', 'public', 0, '2026-11-29 23:57:05', '2026-11-29 23:57:05.030797', '', false, '', false, '{}', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'H-nDYNdO8u_x8dXrXj7VHTmcWMMdLYrmSSxLgzKvqF4', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["https://client.example/callback"]', '["authorization_code", "refresh_token"]', '["code"]', '[]', '[]', '[]', '[]', '[]', '', false, NULL);
INSERT INTO public.hydra_client VALUES ('partner', '', '$pbkdf2-sha256$i=25000,l=32$+6GZNY8Kr0pTmP/4lEejhQ$JZ7cl2nc2ezEWB4gOHRdfO4pYPMQEvPn0IoTebCRN6E', 'openid offline', '', '', '', '', '', 0, '', '{}', '', 'client_secret_basic', '', 'none', 'public', 0, '2026-11-29 23:57:05', '2026-11-29 23:57:05.039495', '', false, '', false, '{"team":"photos"}', '', 7200000000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 3600000000000, 3153600000000000000, NULL, 'DXWcL4e_71Y-sq13kYq8KTPf44KlYzFueOrSklFC3WQ', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["https://client.example/callback"]', '["authorization_code", "refresh_token"]', '["code"]', '["https://api.example/"]', '[]', '[]', '[]', '[]', '', false, NULL);
INSERT INTO public.hydra_oauth2_flow VALUES ('2e1f9fb9a4f341baabfde023fec80e5c', '0ff4ffa21f3f4f6c909aa7b67720a904', '23505e1514784154bf09139a2faea3fd', 'ada', 'http://127.0.0.1:40437/oauth2/auth?client_id=shop&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fclient.example%2Fcallback&response_type=code&scope=openid+offline+profile&state=a-state-of-sixteen', false, 'shop', '2026-11-29 23:57:05', NULL, '{}', '57c77b02-135c-4c17-84a7-328530149690', 6, false, 0, '{}', '', '2026-11-29 23:57:05', false, '', 'null', '0cc71cc3-9633-44e6-bdcb-409893b18569', false, '086de35a5e1d4433b53efe60d762adb4', '86b2e9bf29234e56b82191fc656a398b', true, 0, '2026-11-29 23:57:05.090204', '{}', 'null', 'null', true, 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["openid", "offline", "profile"]', '[]', '[]', '["openid", "offline", "profile"]', '[]', false, NULL);
INSERT INTO public.hydra_oauth2_flow VALUES ('58cc1238e6a44d68a0d6cc00e450067a', 'f79882a17a994830ac4b9154a6c01218', '92c36841de4d4709b13a30b5a50918ed', 'ada', 'http://127.0.0.1:40437/oauth2/auth?audience=https%3A%2F%2Fapi.example%2F&client_id=partner&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fclient.example%2Fcallback&response_type=code&scope=openid+offline&state=a-state-of-sixteen', false, 'partner', '2026-11-29 23:57:08', NULL, '{}', '3cee62b1-6e27-4b98-8b83-f46f5b8980f2', 6, false, 0, '{}', '', '2026-11-29 23:57:08', false, '', 'null', '106515bc-bfcf-48ca-91a8-956ce9720f35', false, 'f53ce7ee4838401da41d0a88c2d98b89', '3f57b948ac354c669ffb00754dc85564', true, 0, '2026-11-29 23:57:08.895625', '{}', 'null', 'null', true, 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["openid", "offline"]', '["https://api.example/"]', '[]', '["openid", "offline"]', '["https://api.example/"]', false, NULL);
INSERT INTO public.hydra_oauth2_flow VALUES ('76c6ac6a3ad5402b83644d5636d2386d', 'c6c52e66268a4c8981cd6828b1f2c6fc', '71bbd933962f45f19fac18745a1da9fc', 'ada', 'http://127.0.0.1:40437/oauth2/auth?client_id=app&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fclient.example%2Fcallback&response_type=code&scope=openid+offline&state=a-state-of-sixteen', false, 'app', '2026-11-29 23:57:09', NULL, '{}', '7fa79949-e416-4605-9936-f8dbf08ef3d1', 6, false, 0, '{}', '', '2026-11-29 23:57:09', false, '', 'null', '63c17659-7415-4dcc-9b12-4b2c8d956342', false, '5391c5dbb8d44ee9847a87f19c4f346b', '6ec7b3c8b3c0479b8902631bad9ab6bd', true, 3600, '2026-11-29 23:57:09.188518', '{}', 'null', 'null', true, 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["openid", "offline"]', '[]', '[]', '["openid", "offline"]', '[]', false, NULL);
INSERT INTO public.hydra_oauth2_flow VALUES ('09e2549d47784afb85daf06a8ff39eb5', 'e4fa821acf1d4a0a828380fc77761e05', 'ab6fa29199b04fe8955ae4abcdcc79d8', 'bob', 'http://127.0.0.1:40437/oauth2/auth?client_id=shop&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fclient.example%2Fcallback&response_type=code&scope=openid+offline&state=a-state-of-sixteen', false, 'shop', '2026-11-29 23:57:09', NULL, '{}', 'afa8e53d-0564-49cd-8add-5e7d6974389d', 6, false, 0, '{}', '', '2026-11-29 23:57:09', false, '', 'null', '2374469f-f2ea-4e71-bf63-4b9b5c76c111', false, 'b2799e47c7de47d58cf49da3dc0ae403', '3c2d1a36efb546acb380f2d9e14e8289', false, 0, '2026-11-29 23:57:09.222583', '{}', 'null', 'null', true, 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '["openid", "offline"]', '[]', '[]', '["openid", "offline"]', '[]', false, NULL);
INSERT INTO public.hydra_oauth2_refresh VALUES ('8rI-uizOWvez00reinB-rjdw-z9CbmAgn-6eh6sXswA', '0cc71cc3-9633-44e6-bdcb-409893b18569', '2026-11-29 23:57:08.598615', 'shop', 'openid|offline|profile', 'openid|offline|profile', 'client_id=shop&grant_type=authorization_code', 'Ok3oW0kGzI8T19EMHsB_nrOmUs19j5kxRzpg3GUQKfT4T67EhjHX_agCcb_efYWj9sYN-XZnsBBXZE1eROJmI_83wb3B4deIFsszVbLx01g45R_vU9T6OjoA27gYZN8CuzfpVDCfjGQlH4S4ZjVehK31y7n6AEalu3T7BrLSUg22J5pTuBfoOQGAB61dPODpVOK2-qyr6cz27SIIzVSZEiXX6fupY58_keskCuEmXcsa3-E8TTNfDlcDZfG1yDf9rC3RZgRSxNUGdzGyfN8R59bWpEFHpwseRcDakoQrrvWokxcNIBqcY7CbLazIjTNqdVK40SiMEqvsMmoMH67_omNdbij_Gan6pylc6AepFEREU9j7GXzUVEMyvTkUKFQE0z0qyonxLsdgoYuVej2dzEGTlPPfLlcPR6782gtM8KODqKz2Uml5YWJnOFwlZvkZp2Q1aOaSZyP2os6VJakslqJMMafgPT4sSDTFllmeAHVXk-NS7pg7KpOzBGNqxK8GCgwtVWO-wx_7yxJP3Auiu0HboreBSuUgvPisg2ipaySNnrL24UotKTxGz4Ts73jkqJrlbdTYTkN5e3Cp9evr4Op6vY-kRq69OzlBl76uTwrm_WSNS7sfs66XMX8J0OfY5BImGo33VARkCd_R6WnfU7NbAhPFp5k81S4QbAhLVytpkTy3UO1j6QC-APNZ7YVtOX5dsiWSYjxe80XgMtiX-_HMDYAIUxOLKYJz02pv__vgpeMqMaH1N_49WufkHCMeqWDxCP5NwjEy5ha6Gtb5G8cl4vumn6nKriJoDkYU-dOeRMekVP0YJa5Kj4Co_UoI0G2_rlUH5tR95P7vCtKC6gO_yLiXtpW1lg9_96J1BAfX1QP5FMqKtFoQ6t-1JsRa0s_1AISeXReLnF7IKR_6ZznshQiAHAUFC9NR7JyQRXMqNtY9IVpQtD_4UWsMXpPFd8SaVtIlmxd2SKvPw8Hwytlz1gkUsLhrwqNC7L_Pbc8t5MATM5Ih5kyq5Bvi8Us07S_wANcduAa9eCWN9Etlr7-rTKk7', 'ada', false, '', '', '0cc71cc3-9633-44e6-bdcb-409893b18569', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '2126-11-05 23:57:09', NULL, 'cc34df7305409a25234da0284004f6170da895c6c8e3364bbe215969ec9978e7d17bf228821a297384895386c03b627b');
INSERT INTO public.hydra_oauth2_refresh VALUES ('iEzGjG_AJuc5USNGI5AV3jsfJA0Dz8qVJ2Oq-nSLZj0', '0cc71cc3-9633-44e6-bdcb-409893b18569', '2026-11-29 23:57:08.651573', 'shop', 'openid|offline|profile', 'openid|offline|profile', 'client_id=shop&grant_type=refresh_token', '_inmpLco-2CIjqXOvD4N4xr7ifQPjhX7b2q0H1uj6KDUR-djUlPlCvhMpKZFXtdbmXFcPu5wJys8M797ivnC0MgsOKeaPsQ8kT6QnIA9k48M-lAn3AAjeyiKXQhYopsayL91qje6ua3RjI1PqL2Za5daVVCJ0--MVsbRbcvOFSgVgdKZE4wvsj8jRe0JnqLnRPoXlhm11k4VFYtpIBJtE9WFwO9olcs005Tw-9n-9OKfT9JF1sKMlfmZefYcXwIGhiYAScyrF2DdyiW4hYokDD6NmjCJYtO657lHPetqWHqdiYV-jFdlteTP1yYdO5YhY8fLl_8EwfGg5vpqdHyhpOdMYEpV1xLkTLw6jynxR_fhU-1Vq3HqdXWlEq_vBG70j5vM72U5CF-ufS8uA4ZXcZSmXSoSgddWtPSzjlAUrSeYdkqTV5GkgRGaG3JNS2k4hFGFrP5LJ5gbA4Nw4ErvU6OI4bxdP3_ZnzAUBXLESktHlk9nXoKfAN5jPcfv0GwdPBe0f16gFGolXmXYS2BkelvpwM0LACmenoJQepQEPtCldkMWtQZKoBCSFtpesyjohRbDRIMZAlzYtS9tkaxxx3HGj4OJfs5WZ_C190uGYDxLjxELJdL8ahqtsKSuYJoDCYgy7sm8t6f-fT7WRE31jShASG_CS7O879IDgShGG3QDrZkQ48SZzVdPV-2eWqOtReW9u_Dn8hWHd98de99D0Wy24AK-sVuZT8iHa0vjbFnkAhnstiTWShr-vgTeP6uuXXwfBhLUa_T6o_yDOys1vc--X7ukHSWXq8gp57eXUKxoEW0C1MCsOnUUVExGgy00XkkJ3CEfI7btqxx7pwiidDm4ONwthq64cVDoX0OXEIGNzgl96NI_Ki6UtCbIvhfHep3wMagSSJlCRmuue7plNgTsxGmAhNEq_SxxWovGxpFZxPKzS35qt23xMmgCX5aCk0y2C8NmfMos3H7jBGqWb-k7yZScoI_f5njTcwQkFXCZEvei_-zkLUawY9rmKI75-uNF3aENtP0JieXkhIOpGUtOXonT', 'ada', true, '', '', '0cc71cc3-9633-44e6-bdcb-409893b18569', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '2126-11-05 23:57:09', NULL, '1b4119f3de98c5e3867a9e08339e16aea8ca300315caff76346f6689fd770c640b34bb48a1319d3a8fabdca899a70f97');
INSERT INTO public.hydra_oauth2_refresh VALUES ('Npbpt9amH0EPYdfIENnUlsR29tvIPkI5IFfzqtqqTFg', '106515bc-bfcf-48ca-91a8-956ce9720f35', '2026-11-29 23:57:09.001636', 'partner', 'openid|offline', 'openid|offline', 'grant_type=authorization_code', 'jkyxSxwun7coaVG8n9IsB4C2rOFHUBgDi1safTXoXodxaqeNGdhg2GawiKtdUYDK-8FgjLA-dDfPARgZz5UriAIvQ5yPaWQhJmNd5_vBsmH8yt6OMASkmZNaAgAfzV5_2NkMSxMwxYYEn908R8SuvF6Isc6W4EbRJGPdHyoASk6dfMK-Qzv_717tgK74OZnY7kHJYjg_K5Zalfh3Pw5dY6jz0Afi5POxyfiepM2GqUxLe-KeLBslk-n0IcEN0rqQ_vUDsPN4Xp-dHwcs_mRcKrdmMyZy7kxlI_rZGyqbXicVU2d1Z2wBDHdPVeZjFsn6RmhPvQY8jdpdJIMjxbkQQXILrQT1I4S1XZ0hgLtzBsrTjwLJ4nfNYfbGC_2hHHc6Acsg2lKFgcK2XFBQHP_yi9V9Rxi4HEG1CZrEDE2GyANrwCEwOD5Nl_C97d0xYagym2eJKjENLBNQmYytgVO0Vu2mUsaiZv2i9kS_eykefg3MzPL5vlUheLzKrTLtNWfTQew10PEALdNJh0KCjnrNVxF9YYsnrsvwi-JNX0CYmwqBc5vXCGMQjy7RxPjTHAL-TbrIMutTCtWtl3HhSNTPVXmfbeNk8LtOHC3ssJHCQ5pTQy3sIlIrLeE8hYb2GJBRXl4X1F-mHhTGABO7Q_WvUJaJfp9aI_saCFZiVKZaXoI4EydbqDUJ5qrGxSZ9mSewhctJyaebbaydPQH-qH3GIMe6vGvNkmplnKS9s8Jo0zqUeab8xpiQQVQUyaGTQ51dkU74TubRX4eYTO2PXP53kiBovZfVh46w0jJchPvC_BOufr-xn-GttiIjTDlY4dnXoFkEP-aXq3OWNGd-LLkh3YrikIPGcbJLVOd8or5XoxNVXfJom5iVLW3Wy_DzlMTOpbIUdRqXsNe44jvtanZafoz34yJQ06FjcayLwy8wDEOTxqT4Tp-HxeEU3zP9kh3LCRaImYKoV_y1TcYVZUGX7NNOUiMtl5VEqEB404TS28cuMW0sQQyKaBcxzONhyO5P4AzM1vCFfEW0jNg-Ly1I9Od0Ut8uW7s3DrpK', 'ada', true, 'https://api.example/', 'https://api.example/', '106515bc-bfcf-48ca-91a8-956ce9720f35', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '2126-11-05 23:57:09', NULL, '4ae36c68a623e0cb144f871273cf07a6282ae5cea8d600a0708706fe1e140b15327089ffb0414d669cb0bc2cddc3a9d9');
INSERT INTO public.hydra_oauth2_refresh VALUES ('pDzusAi4JSLlp_0ageL7EOAeyXybT1oJD3O4rVfsbgk', '63c17659-7415-4dcc-9b12-4b2c8d956342', '2026-11-29 23:57:09.203698', 'app', 'openid|offline', 'openid|offline', 'client_id=app&grant_type=authorization_code', 'x-Xo6l1eLQomsC3GLDzkLQYta4PKuVxH2waYTxi6SsjLCrxxXxbwRkuSUJyvyzmi5a1ur6UUm9OqUJcUOCjVtuadiSfAKrrgMNRQZeU_FlZcuDe9n1STts4KJ23VUeec902ZlEI54ucVrn568BR4hzGBGJODkmSuIJXj3DUC1AVzYXN4iOgVUPgW4mWhzrjdWSao-ZUHjEMUAHwtBkgpZXjt8bUDEFD9xazVjvrm-2Cx7cOqFC5lDcU5CiZUmPsWvMYBOmCO8y1xbzOB-BawoFLFEGSYZPVxRDpOO-AduPIuPAlL6i6kDd4sjUGsPGx2MNT9GqzPmDF80dxCwXl5sXvX3oK7UOZS1FJ8-V8hyHV0684W5Ka5YdJTsg0SfYLfZarXbE6FvXXydF3wrOdYJYK2vEECsoWMkoa4zcZGhhrnnPsYD2Lok6jyXXGSzsWly-ER3zfcgdVuPUVNLwLZmo_BlHLz3unqbs5luH30nvCWZ7vIsmS46fdMrh7x30BEWAODEg7pP9mXtmznQJcXQntN4oAECL7bPgFJxYAbeR_0hdAmSJmYAVWgJSpWG_CeVytdtKRpGDC0LRz13noNgLc2tU9pEZ3NffU4xF7zb1oUZYHODM1qS9sOZ1KqUgxJtUkhBSTuvwWki1R1M1QQ96beqPUj_fAxGkNiIlVicGGfiMss_N6zuHpuyNS6heoYfdGXNcJm3qeoty4izuoVwT4ZtUyX2ubaTrwMQmZm_F4fAFUdPck5eWZTzb-YdNmHdAVP63VrTm5nTNgIGJA4gfGp3vwvzmnoSHER8VsF8s1WExXBKNVBfxS_2Wr_S3GiJIYLgeXUobQqO-FB3W9CTEWLsOQ4kJt_WNbYNzVko24mYcy9eXPJRc930i0FyFWhyJDdAfRF_XbHh8Jreh4LzEnvKaFnUbVrS6EGHwELW4YCQW8YgHjq1nN2YKpMvJ9JdSAhWgqBtdwmYdFoHYf7O84NNZ8AoZckcbQ0tmwtv8BLz7oDD4yPfIvLJARKd1z48iYNTCnanFiTaTYej_G_yMR38w==', 'ada', true, '', '', '63c17659-7415-4dcc-9b12-4b2c8d956342', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '2126-11-05 23:57:09', NULL, '478bffc12cefa38ebe3bb4694800a95dec532a559c6c4ea35847753d55b9e0500b3c73b59f784af5d20fe6cd6afdfe30');
INSERT INTO public.hydra_oauth2_refresh VALUES ('aKydNpzwfz9zVX8I5ofAAVDkEpsj54fWsPRCaEa9GFw', '2374469f-f2ea-4e71-bf63-4b9b5c76c111', '2026-11-29 23:57:09.233581', 'shop', 'openid|offline', 'openid|offline', 'client_id=shop&grant_type=authorization_code', 'vbMXCFiVTxJHho4gmAfxCrbo2QdDHZs3wPRGafp9V9ltiiH8yyI6db1TVT0XgqeSOdE8eEwi19oSMV0xbUmUsJ4DKK5i9XJWcWWMXiR7e3EmjZ08kOSd8mT6cUhw3_CRyEu3pQiOcFyiLYlGhXXegDnGjrLWIKFy-HRAErKvxihQbJ-6XGVq46ULSH0CndiB2li1FX1CWQ3-BDycAsswYRsHitZPUOGckV8yGTgMnDeXAFo-jGiuS5bWQoyrzle1NwmFfa1k4S6rRuTyf1UbjphTFv5a3ioj4GUENSpu1HsRtSRZVnWrUjRtoVyBHF3TM7MOqkmUwNXhFla8nTLHwGCLdq7JP7Dlxdz7MLAEPg2lqV5CYjEV48Xvzep7rjmmdKpoisQ5K_x-WZS4py7UDnBMl6tP_tOxyfRwhw2D73VP4nrDA9rHYfYFdyaaIFGSkvJmFMzwd-cCYSZafTg-PkBU_bEKcD_s9ee1f5KrscaWkjmPHYqpyFxum8Eu3Xj6TI-9Vh3rrfqIjE07RCQwHD-pU-ahyhON8hinENLJRWfd7VJpJCmUcN7Q4iU-hUIgAiM3jlSdZkfMsf2dkpwuJj3wfYi6kGl5xDbC9Vs8h4SYydBAMvjKa6CSexRIF-T9ePnN8N4w0J7BUZT23QjqjmAI6xVJiwsXTa-SJXqIpN1R2hX8kls0TiJGGeyN4lbzXXUyk6uJ9mRHN11kYRNydaAb4Um0y_OhLVPBVvKA3VnIUMtjoYOehR5mhjWVxekhFYSUsEw_DqmXWR1-jrxS6SB7_TsdHnjkK2s9p8WJ-rglSRu97Gkmk9JrNte0vdWY_cBQcLF2SArDwWZjzbyqLg2cgZDi6BZUgC8gospFrlaQFqLkaRsbYt0f2c3uxoGil0S_1ZcDYGcySpYUK-JU0ceMWu5UsmhudiZJGP9VkHfeb9li2Mni8AmlqZbePaM3hweAzrzsE8d-jEfho2bmjRtm0ujhj5mrEd4UNncnfW3p3-WfWwPtwzfEPsBMYEPXOf7ZNqIOfTcGO9cIvXhcbhMgSnM_', 'bob', true, '', '', '2374469f-f2ea-4e71-bf63-4b9b5c76c111', 'a4d289d9-cd4e-4c16-8be1-b3395dec9942', '2126-11-05 23:57:09', NULL, '25dab87f50208a55fe9dd3ef5d59ab90e31dae03ff2722ff990ec25f880e04427f015b1ba8640723a00c0cfa02f92e75');
INSERT INTO public.networks VALUES ('a4d289d9-cd4e-4c16-8be1-b3395dec9942', '2013-10-07 08:23:19', '2013-10-07 08:23:19');
